// From what a reader types to the words that a network reads, by its vocabulary: words in
// lower case, numbers as N, clitics split where the vocabulary has them so.
const explorerWords = (() => {
  const PUNCTUATION = /[.,;:!?…"“”'’()[\]]/;
  const STOP = /[.!?…]/;
  const NUMBER = /^[-+.,]?\d[\d.,:/\\-]*$/; // as paper/language/tags.py has it
  const CLITIC = /^(.+)(n't|'re|'ve|'ll|'m|'d|'s|')$/;
  const EOS = "<eos>";
  const UNK = "<unk>";

  const read = (typed, word = typed) => ({ typed, word, isUnknown: false });

  // The words of a text: {typed, word, isUnknown}. `known` has the words of a vocabulary.
  function of(text, known) {
    const pieces = text.replaceAll("’", "'").split(/\s+/).filter(Boolean);
    return pieces.flatMap((piece) => ofPiece(piece, known));
  }

  // Punctuation is taken off from both sides until a word is left that is known: "mr." is,
  // and so is "dogs'". A stop among it ends a sentence.
  function ofPiece(piece, known) {
    if (known.has(piece)) return [read(piece)];
    let core = piece.toLowerCase();
    let after = "";
    while (core && !known.has(core) && PUNCTUATION.test(core[0]) && core.length > 1) {
      core = core.slice(1);
    }
    while (core && !known.has(core) && PUNCTUATION.test(core.at(-1))) {
      after = core.at(-1) + after;
      core = core.slice(0, -1);
    }
    const end = STOP.test(after) ? [read(after, EOS)] : [];
    return core ? [...ofCore(core, known), ...end] : end;
  }

  function ofCore(core, known) {
    if (known.has(core)) return [read(core)];
    if (NUMBER.test(core) && known.has("N")) return [read(core, "N")];
    const [, host, clitic] = core.match(CLITIC) ?? [];
    if (known.has(host) && known.has(clitic)) return [read(host), read(clitic)];
    if (!/[\p{L}\p{N}]/u.test(core)) return []; // a dash, say
    return [{ typed: core, word: UNK, isUnknown: true }];
  }

  return { of, read, EOS, UNK };
})();
