// The page "Type a sentence": reads what is typed with a network in a Web Worker
// (explorer-engine.js) and shows what it holds of each word, and what it expects next.
// Without this script the explorer stays hidden, and a text says what it needs.
document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("explorer");
  if (!root) return;
  const MOST_WORDS = 40;
  const ARTICLES = ["the", "a", "an", "some", "no"];
  const CHANCE = "a random direction";
  const FIRST = "grammar-lstm-64"; // the network that the page comes with
  const { EOS, UNK } = explorerWords;
  // What is asked of each word: its name, with its unit, and that alone
  const QUANTITIES = {
    memory: { name: "memory", whole: "memory σ₁", symbol: "σ₁" },
    influence: {
      name: "influence",
      whole: "influence, nats per squared standard deviation",
      symbol: "nats",
    },
  };

  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const input = part("text");
  const position = part("moment");
  const measure = part("measure");
  const presets = [...root.querySelectorAll("[data-preset]")];
  const choices = [...root.querySelectorAll("[data-network]")];
  const quantities = [...root.querySelectorAll("[data-quantity]")];
  const networks = window.explorerNetworks ?? {};

  // What is shown: the network's name, the words that it reads, what it has answered to
  // each, what is asked of them, the word that is followed, and the word after which one
  // asks what comes next.
  const shown = {
    name: FIRST,
    words: [],
    steps: [],
    quantity: "memory",
    followed: 0,
    moment: 0,
    isCut: false,
  };

  // ----- the worker

  let worker = null;
  let request = 0;
  const given = new Set(); // networks that the worker has

  function startWorker() {
    const source = `"use strict"; (${answerThePage})((${stateGradients})());`;
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const started = new Worker(address);
    started.onmessage = ({ data }) => receive(data);
    started.onerror = (event) => fail(event.message || "its worker did not start");
    return started;
  }

  function ask(ids) {
    const { name } = shown;
    try {
      worker ??= startWorker();
    } catch (error) {
      fail(error.message);
      return;
    }
    if (!given.has(name)) {
      worker.postMessage({ name, network: { arrays: networks[name].arrays } });
      given.add(name);
    }
    const wanted = { influence: shown.quantity === "influence" };
    worker.postMessage({ name, request, ids, wanted });
  }

  function receive({ error, request: answered, step, isDone }) {
    if (error) fail(error);
    if (error || answered !== request) return;
    if (isDone) {
      showAll();
      return;
    }
    shown.steps.push(step);
    say(`Reading word ${shown.steps.length} of ${shown.words.length} …`);
  }

  function say(text) {
    part("status").textContent = text;
    part("error").hidden = true;
  }

  function complain(text) {
    part("status").textContent = "";
    part("error").textContent = text;
    part("error").hidden = false;
  }

  const fail = (reason) =>
    complain(`The network stopped: ${reason}. Reload the page to start again.`);

  // ----- reading

  const textOf = (words) => words.map(({ word }) => word).join(" ");

  function readText() {
    const network = networks[shown.name];
    network.ids ??= new Map(network.words.map((word, id) => [word, id]));
    const typed = explorerWords.of(input.value, network.ids);
    if (!typed.length) {
      request += 1; // what is still being read is not wanted any more
      part("results").hidden = true;
      say("Type a word: the network has nothing to read.");
      return;
    }
    const before = textOf(shown.words);
    shown.words = [explorerWords.read(EOS), ...typed.slice(0, MOST_WORDS)];
    shown.isCut = typed.length > MOST_WORDS;
    shown.moment = shown.words.length - 1;
    const goesOn = before && textOf(shown.words).startsWith(before);
    if (!goesOn) shown.followed = firstToFollow();
    readWords();
  }

  function readWords() {
    const { ids } = networks[shown.name];
    request += 1;
    shown.steps = [];
    ask(shown.words.map(({ word }) => ids.get(word)));
  }

  const isRead = () => shown.words.length > 0 && shown.steps.length === shown.words.length;

  // The second word where the first is an article, of which little is to be remembered.
  function firstToFollow() {
    const isArticle = ARTICLES.includes(shown.words[1].word);
    return isArticle && shown.words.length > 2 ? 2 : 1;
  }

  function choose(name) {
    shown.name = name;
    for (const button of choices) {
      button.setAttribute("aria-pressed", String(button.dataset.network === name));
    }
    for (const button of presets) button.hidden = button.dataset.preset !== name;
    nameMeasures();
    input.value = presets.find((button) => !button.hidden).textContent;
    readText();
  }

  // What the heat map can show: a quantity, or what of it belongs to a property
  function nameMeasures() {
    const { properties } = networks[shown.name];
    const options = properties.map((property, index) => new Option(told(property), index));
    measure.replaceChildren(new Option(named().name, "whole"), ...options);
  }

  function chooseQuantity(name) {
    shown.quantity = name;
    for (const button of quantities) {
      button.setAttribute("aria-pressed", String(button.dataset.quantity === name));
    }
    const { value } = measure;
    nameMeasures();
    measure.value = value;
    readWords();
  }

  // Another network's script is loaded when it is asked for, from beside the first one's.
  function load(name) {
    if (networks[name]) {
      choose(name);
      return;
    }
    const first = document.querySelector(`script[src*="made/${FIRST}.js"]`);
    const script = document.createElement("script");
    script.src = first.src.replace(/made\/.*$/, `made/${name}.js`);
    script.onload = () => choose(name);
    script.onerror = () => {
      script.remove();
      complain(`The network could not be loaded: made/${name}.js is missing.`);
    };
    say("Loading the network …");
    document.head.append(script);
  }

  // ----- what is shown, in words

  const told = (property) => property.replace(" - ", " − ");
  const short = (value) => (Number.isFinite(value) ? value.toPrecision(3) : "none");
  const percent = (share) =>
    share < 0.001 ? "below 0.1 %" : `${(100 * share).toFixed(1)} %`;
  const wordAt = (t) => shown.words[t].typed;
  const textUntil = (t) => shown.words.slice(1, t + 1).map(({ typed }) => typed).join(" ");
  const capital = (text) => text[0].toUpperCase() + text.slice(1);
  const named = () => QUANTITIES[shown.quantity];
  const isWhole = () => measure.value === "whole";
  const measureName = () =>
    isWhole() ? named().whole : `relative ${named().name} of ${measure.selectedOptions[0].text}`;

  // Of word t, when the word at `after` has been read: {value, relative, chance}
  const heldOf = (t, after) => shown.steps[after][shown.quantity][t];

  // Of word t after `delay` more words, by the measure that is chosen
  function valueOf(t, delay) {
    const { value, relative } = heldOf(t, t + delay);
    return isWhole() ? value : relative[Number(measure.value)];
  }

  function summary() {
    const n = shown.words.length - 1;
    const unknown = shown.words.filter(({ isUnknown }) => isUnknown);
    const names = unknown.map(({ typed }) => typed).join(", ");
    return [
      `Read ${n} ${n === 1 ? "word" : "words"}.`,
      shown.isCut ? `A text may have ${MOST_WORDS}: the rest was left out.` : "",
      names ? `Not in the vocabulary, and read as ${UNK}: ${names}.` : "",
    ].filter(Boolean).join(" ");
  }

  function mostHeld() {
    const end = shown.words.length - 1;
    const held = shown.words.map((_, t) => ({ word: wordAt(t), value: valueOf(t, end - t) }));
    held.sort((a, b) => b.value - a.value);
    const listed = held.slice(0, 3).map(({ word, value }) => `${word} ${short(value)}`);
    return `Highest after the last word: ${listed.join(", ")}.`;
  }

  // ----- what is shown, in pictures

  const isDark = () => document.documentElement.dataset.theme === "dark";
  const waiting = new Map(); // by element: what is to be drawn in it,
  const drawn = new Map(); // and a promise of what has been

  // Draw once what is being drawn there is; of several that wait, only the last.
  function draw(name, label, spec, then = () => {}) {
    const box = part(name);
    waiting.set(box, spec);
    const before = drawn.get(box) ?? Promise.resolve();
    const now = before.then(async () => {
      if (waiting.get(box) !== spec) return;
      box.finalize?.();
      const look = explorerDrawings.look(root, isDark());
      const { view, finalize } = await window.vegaEmbed(box, spec, look);
      Object.assign(box, { view, finalize });
      // One image with a text, where Vega has many symbols without
      box.removeAttribute("aria-roledescription");
      box.querySelector("svg").setAttribute("aria-hidden", "true");
      box.setAttribute("role", "img");
      box.setAttribute("aria-label", label);
      then(view);
      markScrolling();
    });
    drawn.set(box, now.catch((error) => fail(error.message)));
  }

  const common = () => ({
    words: shown.words.map(({ typed }) => typed),
    isDark: isDark(),
    width: root.clientWidth,
  });

  function showHeatMap() {
    const n = shown.words.length;
    const cells = [...shown.words.keys()].flatMap((t) =>
      Array.from({ length: n - t }, (_, delay) => ({
        t,
        delay,
        word: wordAt(t),
        after: wordAt(t + delay),
        value: valueOf(t, delay),
      })),
    );
    const spec = explorerDrawings.heatMap({
      ...common(),
      cells,
      followed: shown.followed,
      title: measureName(),
      symbol: isWhole() ? named().symbol : `relative ${named().name}`,
      isWhole: isWhole(),
    });
    const axes = `a column for each of ${n} words and a row for each delay`;
    const label = `Heat map of ${measureName()}, ${axes}. ${mostHeld()}`;
    draw("heat-map", label, spec, (view) => {
      view.addEventListener("click", (_, item) => {
        if (item?.datum?.word === undefined) return;
        setMoment(item.datum.t + item.datum.delay);
        follow(item.datum.t);
      });
    });
  }

  function showFollowed() {
    const t = shown.followed;
    const names = [...networks[shown.name].properties.map(told), CHANCE];
    const moments = [...shown.words.keys()].slice(t);
    const whole = moments.map((after) => ({
      after,
      word: wordAt(after),
      value: heldOf(t, after).value,
    }));
    const relative = moments.flatMap((after) => {
      const held = heldOf(t, after);
      const values = [...held.relative, held.chance];
      return values.map((value, k) => ({ after, word: wordAt(after), name: names[k], value }));
    });
    part("followed").textContent = wordAt(t);
    const { name, symbol } = named();
    const [first, last] = [whole[0], whole.at(-1)].map(({ value }) => short(value));
    draw(
      "curve",
      `${capital(name)} of ${wordAt(t)}: ${first} when it is read, ${last} after the last word.`,
      explorerDrawings.curve({ ...common(), data: whole, name, symbol }),
    );
    const ends = relative.slice(-names.length);
    const listed = ends.map((end) => `${end.name} ${short(end.value)}`).join(", ");
    draw(
      "relative",
      `Relative ${name} of properties of ${wordAt(t)}, after the last word: ${listed}.`,
      explorerDrawings.relative({
        ...common(),
        data: relative,
        names,
        title: `relative ${name}`,
      }),
    );
  }

  // ----- what is shown, as lists and tables

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function showWords() {
    const labels = shown.words.map(({ typed, isUnknown }, t) => {
      const radio = element("input", { type: "radio", name: "followed", value: t });
      radio.checked = t === shown.followed;
      if (!isUnknown) return element("label", {}, radio, typed);
      return element("label", { class: "unknown" }, radio, typed, element("small", {}, ` ${UNK}`));
    });
    part("words").replaceChildren(...labels);
  }

  function showNext() {
    const t = shown.moment;
    const { words } = networks[shown.name];
    const { next } = shown.steps[t];
    position.max = shown.words.length - 1;
    position.value = t;
    position.setAttribute("aria-valuetext", t ? textUntil(t) : "before the first word");
    part("until").textContent = `${textUntil(t)} …`.trim();
    const items = next.map(({ id, probability }) => {
      const share = probability / next[0].probability;
      const button = element("button", { type: "button", "data-word": words[id] });
      button.append(
        element("span", {}, words[id]),
        element("data", { value: probability }, percent(probability)),
        element("span", { class: "bar", style: `--share: ${share}` }),
      );
      return element("li", {}, button);
    });
    part("next").replaceChildren(...items);
    const came = shown.steps[t + 1]?.came;
    part("came").textContent = came
      ? `In your sentence comes ${wordAt(t + 1)}: place ${came.rank.toLocaleString("en")}, ` +
        `with ${percent(came.probability)}.`
      : "";
  }

  const cell = (text) => element("td", {}, text);
  const numeral = (value) =>
    Number.isFinite(value) ? cell(element("data", { value }, short(value))) : cell("");
  const row = (head, ...cells) =>
    element("tr", {}, element("th", { scope: "row" }, head), ...cells);

  function fillTable(name, heads, rows) {
    const table = part(name).querySelector("table");
    const cells = heads.map((head) => element("th", { scope: "col" }, head));
    table.tHead.replaceChildren(element("tr", {}, ...cells));
    table.tBodies[0].replaceChildren(...rows);
  }

  function showTables() {
    const moments = [...shown.words.keys()];
    const { words, properties } = networks[shown.name];
    part("heat-map-caption").textContent = `By word and delay: ${measureName()}`;
    const byDelay = (t) => moments.slice(t).map((after) => numeral(valueOf(t, after - t)));
    const padded = (t) => [...byDelay(t), ...moments.slice(0, t).map(() => cell(""))];
    const rows = moments.map((t) => row(wordAt(t), ...padded(t)));
    fillTable("heat-map-table", ["word", ...moments], rows);

    const t = shown.followed;
    const { name, whole } = named();
    part("followed-caption").textContent = `${capital(name)} of ${wordAt(t)}, and relative ${name}`;
    const held = moments.slice(t).map((after) => {
      const { value, relative, chance } = heldOf(t, after);
      return row(wordAt(after), ...[value, ...relative, chance].map(numeral));
    });
    const measures = [whole, ...properties.map(told), CHANCE];
    fillTable("followed-table", ["having read", ...measures], held);

    const expected = moments.map((after) => {
      const [{ id, probability }] = shown.steps[after].next;
      const came = shown.steps[after + 1]?.came;
      const cells = [cell(words[id]), numeral(probability)];
      if (came) cells.push(cell(wordAt(after + 1)), numeral(came.probability), cell(came.rank));
      return row(wordAt(after), ...cells);
    });
    const columns = ["having read", "expected most", "probability"];
    fillTable("next-table", [...columns, "what came", "probability", "place"], expected);
    markScrolling();
  }

  // A box that scrolls can be reached by the Tab key, and shows that it goes on.
  function markScrolling() {
    for (const box of root.querySelectorAll(".explorer-scroll")) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }

  function showAll() {
    part("results").hidden = false;
    say(summary());
    showWords();
    showNext();
    drawAll();
    showTables();
  }

  function drawAll() {
    showHeatMap();
    showFollowed();
  }

  // ----- what the reader does

  function follow(t) {
    shown.followed = t;
    part("words").querySelectorAll("input")[t].checked = true;
    showRead();
  }

  function setMoment(t) {
    shown.moment = t;
    if (isRead()) showNext();
  }

  // While words are being read nothing is drawn of them: `showAll` does, at the end.
  function showRead() {
    if (!isRead()) return;
    drawAll();
    showTables();
  }

  part("form").addEventListener("submit", (event) => {
    event.preventDefault();
    readText();
  });
  input.addEventListener("input", () => {
    if (/\s$/.test(input.value)) readText(); // a word is read once it has an end
  });
  root.addEventListener("click", ({ target }) => {
    const { preset, network, quantity, word } = target.closest("button")?.dataset ?? {};
    if (network) load(network);
    if (quantity) chooseQuantity(quantity);
    if (preset) input.value = target.closest("button").textContent;
    if (word) input.value = `${textUntil(shown.moment)} ${word} `.trimStart();
    if (preset || word) readText();
    if (word) input.focus();
  });
  part("words").addEventListener("change", ({ target }) => follow(Number(target.value)));
  position.addEventListener("input", () => setMoment(Number(position.value)));
  measure.addEventListener("change", showRead);
  part("tables").addEventListener("toggle", markScrolling);

  function drawAgain() {
    if (isRead() && !part("results").hidden) drawAll();
  }
  const theme = { attributeFilter: ["data-theme"] };
  new MutationObserver(drawAgain).observe(document.documentElement, theme);
  let width = 0;
  new ResizeObserver(() => {
    if (root.clientWidth !== width) drawAgain();
    width = root.clientWidth;
  }).observe(root);

  document.getElementById("explorer-needs").hidden = true;
  root.hidden = false;
  choose(FIRST);
});
