// The page "Type a sentence": reads what is typed with a network in a Web Worker
// (explorer-engine.js) and shows what it holds of each word, and what it expects next.
// Without this script the explorer stays hidden, and a text says what it needs.
document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("explorer");
  if (!root) return;
  const MOST_WORDS = 40;
  const EOS = "<eos>";
  const UNK = "<unk>";
  const PUNCTUATION = /[.,;:!?…"“”'’()[\]]/;
  const NUMBER = /^[-+.,]?\d[\d.,:/\\-]*$/; // as paper/language/tags.py has it
  const CLITIC = /^(.+)(n't|'re|'ve|'ll|'m|'d|'s|')$/;
  const LIGHT = ["#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7"]; // figures/style.py
  const DARK = ["#FFFFFF", "#E69F00", "#56B4E9", "#2FC59A", "#CC79A7"];
  const DASHES = [[1, 0], [5, 2], [1.5, 1.5], [7, 2, 1.5, 2], [3, 1.5, 1.5, 1.5]];

  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const input = part("text");
  const position = part("moment");
  const measure = part("measure");
  const networks = window.explorerNetworks ?? {};
  const presets = [...root.querySelectorAll("[data-preset]")];
  const choices = [...root.querySelectorAll("[data-network]")];

  // What is shown: the network's name, the words that it reads, what it has answered, the
  // word that is followed, and the word after which one asks what comes next.
  const shown = { name: "", words: [], steps: [], followed: 0, moment: 0 };
  const views = new Map(); // of Vega, by the element that they are drawn in
  let request = 0;

  // ----- text -> words

  // The words that a network of this vocabulary reads: {typed, word, isUnknown}.
  function wordsOf(text, ids) {
    const pieces = text.replaceAll("’", "'").split(/\s+/).filter(Boolean);
    return pieces.flatMap((piece) => wordsOfPiece(piece, ids));
  }

  function wordsOfPiece(piece, ids) {
    const known = (word) => ids.has(word);
    const read = (word) => [{ typed: word, word, isUnknown: false }];
    if (known(piece)) return read(piece);
    let core = piece.toLowerCase();
    let end = "";
    while (core && !known(core) && PUNCTUATION.test(core[0])) core = core.slice(1);
    while (core && !known(core) && PUNCTUATION.test(core.at(-1))) {
      end = core.at(-1) + end;
      core = core.slice(0, -1);
    }
    const stop = /[.!?…]/.test(end) && known(EOS) ? [{ typed: end, word: EOS, isUnknown: false }] : [];
    if (!core) return stop;
    if (known(core)) return [...read(core), ...stop];
    if (NUMBER.test(core) && known("N")) return [{ typed: core, word: "N", isUnknown: false }, ...stop];
    const [, host, clitic] = core.match(CLITIC) ?? [];
    if (known(host) && known(clitic)) return [...read(host), ...read(clitic), ...stop];
    return [{ typed: core, word: UNK, isUnknown: true }, ...stop];
  }

  const idsOf = (network) => (network.ids ??= new Map(network.words.map((word, id) => [word, id])));

  // ----- the worker

  function say(text, { isError = false } = {}) {
    part("status").textContent = isError ? "" : text;
    part("error").textContent = isError ? text : "";
    part("error").hidden = !isError;
  }

  const fail = (reason) => say(`The network stopped: ${reason}. Reload the page to start again.`, { isError: true });

  function startWorker() {
    const source = `"use strict"; (${answerThePage})((${stateGradients})());`;
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(address);
    worker.onmessage = ({ data }) => receive(data);
    worker.onerror = (event) => fail(event.message || "its worker did not start");
    return worker;
  }

  let worker = null;
  const given = new Set(); // networks that the worker has

  function ask(name, ids) {
    try {
      worker ??= startWorker();
    } catch (error) {
      fail(error.message);
      return;
    }
    if (!given.has(name)) worker.postMessage({ name, network: { arrays: networks[name].arrays } });
    given.add(name);
    worker.postMessage({ name, request, ids });
  }

  function receive(data) {
    if (data.error) fail(data.error);
    if (data.error || data.request !== request) return;
    if (data.isDone) showAll();
    else {
      shown.steps.push(data.step);
      say(`Reading word ${shown.steps.length} of ${shown.words.length} …`);
    }
  }

  // ----- reading

  function readText() {
    const network = networks[shown.name];
    const ids = idsOf(network);
    const typed = wordsOf(input.value, ids);
    request += 1;
    if (!typed.length) {
      part("results").hidden = true;
      say("Type a word: the network has nothing to read.");
      return;
    }
    const before = shown.words.map(({ word }) => word).join(" ");
    shown.words = [{ typed: EOS, word: EOS, isUnknown: false }, ...typed.slice(0, MOST_WORDS)];
    shown.isCut = typed.length > MOST_WORDS;
    shown.steps = [];
    shown.moment = shown.words.length - 1;
    const isLonger = shown.words.map(({ word }) => word).join(" ").startsWith(before);
    if (!before || !isLonger) shown.followed = firstToFollow();
    ask(shown.name, shown.words.map(({ word }) => ids.get(word)));
  }

  // The second word, as in "the dogs": the first one says little of its own.
  const firstToFollow = () => Math.min(2, shown.words.length - 1);

  function choose(name) {
    const isNew = shown.name !== name;
    shown.name = name;
    for (const button of choices) {
      button.setAttribute("aria-pressed", String(button.dataset.network === name));
    }
    for (const button of presets) button.hidden = button.dataset.preset !== name;
    if (isNew) fillMeasures();
  }

  function fillMeasures() {
    const options = networks[shown.name].properties.map((name, index) => new Option(told(name), index));
    measure.replaceChildren(new Option("memory σ₁", "memory"), ...options);
  }

  // A network's script is loaded when it is asked for, from beside that of the first.
  function load(name) {
    if (networks[name]) {
      choose(name);
      readText();
      return;
    }
    const first = document.querySelector('script[src*="made/grammar-lstm-64.js"]');
    const script = document.createElement("script");
    script.src = first.src.replace(/made\/.*$/, `made/${name}.js`);
    script.onload = () => {
      choose(name);
      input.value = presets.find((button) => button.dataset.preset === name).textContent;
      readText();
    };
    script.onerror = () => {
      script.remove();
      say(`The network could not be loaded: ${script.src} is missing.`, { isError: true });
    };
    say("Loading the network …");
    document.head.append(script);
  }

  // ----- what is shown

  const told = (property) => property.replace(" - ", " − ");
  const wordAt = (t) => shown.words[t].typed;
  const short = (value) => (Number.isFinite(value) ? value.toPrecision(3) : "none");
  const percent = (share) => (share < 0.001 ? "below 0.1 %" : `${(100 * share).toFixed(1)} %`);
  const textUntil = (t) => shown.words.slice(1, t + 1).map(({ typed }) => typed).join(" ");

  // The value of word t after `delay` more words, by the measure that is chosen
  function valueOf(t, delay, by = measure.value) {
    const step = shown.steps[t + delay];
    return by === "memory" ? step.memory[t] : step.relative[t][Number(by)];
  }

  function showAll() {
    part("results").hidden = false;
    say(summary());
    showWords();
    showHeatMap();
    showFollowed();
    showNext();
    showTables();
  }

  function summary() {
    const n = shown.words.length - 1;
    const unknown = shown.words.filter(({ isUnknown }) => isUnknown).map(({ typed }) => typed);
    const parts = [`Read ${n} ${n === 1 ? "word" : "words"}.`];
    if (shown.isCut) parts.push(`A sentence may have ${MOST_WORDS}; the rest was left out.`);
    if (unknown.length) parts.push(`Not in the vocabulary, and read as ${UNK}: ${unknown.join(", ")}.`);
    return parts.join(" ");
  }

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function showWords() {
    const chips = shown.words.map(({ typed, isUnknown }, t) => {
      const radio = element("input", { type: "radio", name: "followed", value: t });
      radio.checked = t === shown.followed;
      const name = element("span", {}, typed);
      if (isUnknown) name.append(element("small", {}, ` ${UNK}`));
      const label = element("label", isUnknown ? { class: "unknown" } : {}, radio, name);
      return label;
    });
    part("words").replaceChildren(...chips);
  }

  function follow(t) {
    shown.followed = t;
    part("words").querySelectorAll("input")[t].checked = true;
    showHeatMap();
    showFollowed();
    showTables();
  }

  const isDark = () => document.documentElement.dataset.theme === "dark";

  function draw(name, label, spec) {
    const box = part(name);
    const style = getComputedStyle(box);
    const color = (variable) => style.getPropertyValue(`--pst-color-${variable}`).trim();
    const text = { labelColor: color("text-base"), titleColor: color("text-base"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    const config = {
      background: "transparent",
      font: style.fontFamily,
      view: { stroke: null },
      axis: { ...text, gridColor: color("border"), domainColor: color("text-muted"), tickColor: color("text-muted") },
      legend: { ...text, labelLimit: 0 },
      aria: false, // the box is an image with a text of its own
    };
    box.setAttribute("aria-label", label);
    const options = { actions: false, renderer: "svg", config, tooltip: { theme: isDark() ? "dark" : "light" } };
    return window.vegaEmbed(box, spec, options).then((drawn) => {
      views.get(box)?.finalize();
      views.set(box, drawn);
      box.view = drawn.view;
      markScrolling();
      return drawn.view;
    });
  }

  // Words at an axis of positions: two may be the same.
  const wordAxis = (options) => ({
    labelExpr: `${JSON.stringify(shown.words.map(({ typed }) => typed))}[datum.value]`,
    labelOverlap: false,
    ...options,
  });

  function showHeatMap() {
    const n = shown.words.length;
    const cells = shown.words.flatMap((_, t) =>
      Array.from({ length: n - t }, (_, delay) => ({
        t,
        delay,
        word: wordAt(t),
        after: wordAt(t + delay),
        value: valueOf(t, delay),
      })),
    );
    const isMemory = measure.value === "memory";
    const title = isMemory ? "memory σ₁" : `relative memory of ${measure.selectedOptions[0].text}`;
    const step = Math.max(17, Math.min(46, Math.floor((root.clientWidth - 64) / n)));
    const spec = {
      width: { step },
      height: { step: Math.min(step, 22) },
      layer: [
        {
          data: { name: "cells", values: cells },
          mark: { type: "rect", cursor: "pointer" },
          encoding: {
            color: {
              field: "value",
              type: "quantitative",
              scale: { scheme: "cividis", ...(isMemory ? { type: "log" } : { domain: [0, 1] }) },
              legend: { title, orient: "bottom", direction: "horizontal", gradientLength: Math.min(260, root.clientWidth - 80), ...(isMemory ? {} : { values: [0, 0.5, 1] }) },
            },
            tooltip: [
              { field: "word", title: "word" },
              { field: "delay", title: "words on" },
              { field: "after", title: "having read" },
              { field: "value", title: isMemory ? "σ₁" : "relative memory", format: ".3~g" },
            ],
          },
        },
        {
          data: { values: Array.from({ length: n - shown.followed }, (_, delay) => ({ t: shown.followed, delay })) },
          mark: { type: "rect", fill: null, stroke: isDark() ? "#ffffff" : "#000000", strokeWidth: 1.5, interactive: false },
        },
      ],
      encoding: {
        x: { field: "t", type: "ordinal", axis: wordAxis({ title: null, orient: "top", labelAngle: step < 40 ? -60 : -35, labelAlign: "left", ticks: false, domain: false }) },
        y: { field: "delay", type: "ordinal", axis: { title: "delay (words)", ticks: false, domain: false, labelAngle: 0 } },
      },
      resolve: { scale: { color: "independent" } },
    };
    const most = mostHeld();
    const label = `Heat map of ${title}, a column for each of ${n} words and a row for each delay. ${most}`;
    draw("heat-map", label, spec).then((view) => {
      view.addEventListener("click", (_, item) => {
        if (item?.datum?.t === undefined) return;
        setMoment(item.datum.t + item.datum.delay);
        follow(item.datum.t);
      });
    });
  }

  function mostHeld() {
    const end = shown.words.length - 1;
    const ranked = shown.words.map((_, t) => t).sort((a, b) => valueOf(b, end - b) - valueOf(a, end - a));
    const listed = ranked.slice(0, 3).map((t) => `${wordAt(t)} ${short(valueOf(t, end - t))}`);
    return `Highest after the last word: ${listed.join(", ")}.`;
  }

  function showFollowed() {
    const t = shown.followed;
    const delays = Array.from({ length: shown.words.length - t }, (_, delay) => delay);
    const { properties } = networks[shown.name];
    part("followed").textContent = wordAt(t);
    const x = { field: "after", type: "ordinal", axis: wordAxis({ title: "having read", labelAngle: -60, grid: false }) };
    const memory = delays.map((delay) => ({ after: t + delay, word: wordAt(t + delay), value: valueOf(t, delay, "memory") }));
    const ends = [memory[0].value, memory.at(-1).value].map(short);
    const color = isDark() ? DARK : LIGHT;
    draw("curve", `Memory of ${wordAt(t)}: ${ends[0]} when it is read, ${ends[1]} after the last word.`, {
      width: "container",
      height: 150,
      data: { name: "curve", values: memory },
      mark: { type: "line", point: { size: 45 }, color: color[2] },
      encoding: {
        x,
        y: { field: "value", type: "quantitative", scale: { type: "log" }, title: "memory σ₁", axis: { tickCount: 4 } },
        tooltip: [{ field: "word", title: "having read" }, { field: "value", title: "σ₁", format: ".3~g" }],
      },
    });
    const chance = "a random direction";
    const relative = delays.flatMap((delay) => [
      ...properties.map((name, index) => ({ after: t + delay, word: wordAt(t + delay), property: told(name), value: valueOf(t, delay, index) })),
      { after: t + delay, word: wordAt(t + delay), property: chance, value: shown.steps[t + delay].chance[t] },
    ]);
    const names = [...properties.map(told), chance];
    const last = properties.map((name, index) => `${told(name)} ${short(valueOf(t, delays.length - 1, index))}`);
    draw("relative", `Relative memory of properties of ${wordAt(t)} after the last word: ${last.join(", ")}.`, {
      width: "container",
      height: 190,
      data: { name: "relative", values: relative },
      mark: { type: "line", point: { size: 35 } },
      encoding: {
        x,
        y: { field: "value", type: "quantitative", scale: { domain: [0, 1] }, title: "relative memory", axis: { tickCount: 5 } },
        color: { field: "property", type: "nominal", scale: { domain: names, range: [...color.slice(0, properties.length), "#808080"] }, legend: { title: null, orient: "bottom", columns: root.clientWidth < 480 ? 2 : 3, symbolType: "stroke", symbolSize: 300 } },
        strokeDash: { field: "property", type: "nominal", scale: { domain: names, range: [...DASHES.slice(0, properties.length), [1, 3]] } },
        tooltip: [{ field: "property", title: "property" }, { field: "word", title: "having read" }, { field: "value", title: "relative memory", format: ".3~g" }],
      },
    });
  }

  function setMoment(t) {
    shown.moment = t;
    showNext();
  }

  function showNext() {
    const t = shown.moment;
    position.max = shown.words.length - 1;
    position.value = t;
    position.setAttribute("aria-valuetext", t ? textUntil(t) : "before the first word");
    part("until").textContent = `${t ? textUntil(t) : ""} …`;
    const { words } = networks[shown.name];
    const next = shown.steps[t].next;
    const most = next[0].probability;
    const items = next.map(({ id, probability }) => {
      const bar = element("span", { class: "bar", style: `--share: ${probability / most}` });
      const number = element("data", { value: probability }, percent(probability));
      const attributes = { type: "button", "data-word": words[id] };
      return element("li", {}, element("button", attributes, element("span", {}, words[id]), " ", number, bar));
    });
    part("next").replaceChildren(...items);
    const came = shown.steps[t + 1]?.came;
    part("came").textContent = came
      ? `What comes in your sentence is ${wordAt(t + 1)}, with ${percent(came.probability)} in place ${came.rank.toLocaleString("en")}.`
      : "";
  }

  // ----- the same as tables

  const numeral = (value) => element("td", {}, Number.isFinite(value) ? element("data", { value }, short(value)) : "");
  const row = (head, cells) => element("tr", {}, element("th", { scope: "row" }, head), ...cells);

  function fillTable(name, heads, rows) {
    const line = element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)));
    const table = part(name).querySelector("table");
    table.tHead.replaceChildren(line);
    table.tBodies[0].replaceChildren(...rows);
  }

  function showTables() {
    const n = shown.words.length;
    const delays = [...shown.words.keys()];
    const { words, properties } = networks[shown.name];
    const title = measure.value === "memory" ? "Memory σ₁" : `Relative memory of ${measure.selectedOptions[0].text}`;
    part("heat-map-caption").textContent = `${title} by word and delay`;
    fillTable("heat-map-table", ["word", ...delays.map(String)], delays.map((t) =>
      row(wordAt(t), delays.map((delay) => numeral(t + delay < n ? valueOf(t, delay) : NaN)))));
    const t = shown.followed;
    part("followed-caption").textContent = `What is held of ${wordAt(t)}, by the word that has been read`;
    fillTable("followed-table", ["having read", "memory σ₁", ...properties.map(told), "a random direction"],
      delays.slice(t).map((end) => row(wordAt(end), [
        numeral(shown.steps[end].memory[t]),
        ...shown.steps[end].relative[t].map(numeral),
        numeral(shown.steps[end].chance[t]),
      ])));
    fillTable("next-table", ["having read", "expected most", "probability", "what came", "probability", "place"],
      delays.map((t) => {
        const [{ id, probability }] = shown.steps[t].next;
        const came = shown.steps[t + 1]?.came;
        return row(wordAt(t), [
          element("td", {}, words[id]),
          numeral(probability),
          element("td", {}, came ? wordAt(t + 1) : ""),
          numeral(came ? came.probability : NaN),
          element("td", {}, came ? came.rank.toLocaleString("en") : ""),
        ]);
      }));
    markScrolling();
  }

  // A box that scrolls can be reached by the Tab key, and shows that it goes on.
  function markScrolling() {
    for (const box of root.querySelectorAll(".explorer-scroll")) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }

  // ----- what the reader does

  part("form").addEventListener("submit", (event) => {
    event.preventDefault();
    readText();
  });
  // A word is read once it has an end.
  input.addEventListener("input", () => {
    if (/\s$/.test(input.value)) readText();
  });
  root.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    const { preset, network, word } = button.dataset;
    if (network) load(network);
    if (preset) input.value = button.textContent;
    if (word) input.value = `${textUntil(shown.moment)} ${word}`.trim();
    if (preset || word) readText();
    if (word) input.focus();
  });
  part("words").addEventListener("change", ({ target }) => follow(Number(target.value)));
  position.addEventListener("input", () => setMoment(Number(position.value)));
  measure.addEventListener("change", () => {
    showHeatMap();
    showTables();
  });
  part("tables").addEventListener("toggle", markScrolling);

  function drawAgain() {
    if (part("results").hidden || shown.steps.length < shown.words.length) return;
    showHeatMap();
    showFollowed();
  }
  new MutationObserver(drawAgain).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) drawAgain();
    width = window.innerWidth;
  });

  root.hidden = false;
  choose("grammar-lstm-64");
  input.value = presets[0].textContent;
  readText();
});
