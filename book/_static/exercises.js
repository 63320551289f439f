// Exercises that are answered in the page. A field holds hashes of what is right and what
// to say of wrong answers (lib/state_gradients/paper/exercises/fields.py made them).
// Without this script the fields stay hidden.
document.addEventListener("DOMContentLoaded", () => {
  // FNV-1a, 32 bits
  function digest(text) {
    let value = 0x811c9dc5;
    for (const letter of text) {
      value = Math.imul(value ^ letter.charCodeAt(0), 0x01000193) >>> 0;
    }
    return value.toString(16).padStart(8, "0");
  }

  function unsealed(form) {
    const bytes = Uint8Array.from(atob(form.dataset.sealed), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  }

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // A comma may stand for the point; spaces and a unit that is typed along do not count.
  function numberIn(text) {
    const match = /^\s*([-+\u2212]?[\d\s]*[.,]?\d+(?:e[-+]?\d+)?)\s*\D*$/i.exec(text);
    if (!match) return NaN;
    return Number(match[1].replace(/\s/g, "").replace(",", ".").replace("\u2212", "-"));
  }

  // What an answer is hashed as, or null if it is none.
  function keyOf(field, answer) {
    if (field.letters) return answer || null;
    const number = numberIn(answer);
    if (Number.isNaN(number)) return null;
    if (field.whole) return String(number);
    return String(Math.floor(number / field.step + 0.5));
  }

  function judged(field, answer) {
    const key = keyOf(field, answer);
    if (key === null) {
      const missing = field.letters ? "Choose a statement first." : "That is no number.";
      return [null, field.expected ? `${missing} Expected: ${field.expected}.` : missing];
    }
    const hash = digest(`${field.salt}|${key}`);
    if (field.right.includes(hash)) return [true, "Right."];
    const known = field.mistakes.find(([hashes]) => hashes.includes(hash));
    const said = known ? known[1] : field.hint;
    if (field.letters) return [false, `Not this one. ${said}`];
    return [false, `Not yet. Expected: ${field.expected}. ${said}`];
  }

  function radios(field, id) {
    const legend = element("legend", { textContent: "Your answer" });
    const options = field.letters.map((letter) => {
      const radio = element("input", { type: "radio", name: id, value: letter });
      return element("label", {}, radio, ` ${letter}`);
    });
    return element("fieldset", {}, legend, ...options);
  }

  function input(id) {
    const label = element("label", { htmlFor: id, textContent: "Your answer" });
    const text = element("input", {
      id, name: id, type: "text", inputMode: "decimal", autocomplete: "off", size: 10,
    });
    return element("div", {}, label, " ", text);
  }

  for (const form of document.querySelectorAll("form.exercise-field")) {
    const field = unsealed(form);
    const id = `answer-${form.dataset.exercise}`;
    const said = element("output", { className: "exercise-said" });
    said.setAttribute("aria-live", "polite");
    const button = element("button", { type: "submit", textContent: "Check" });
    form.append(field.letters ? radios(field, id) : input(id), button, said);
    form.setAttribute("aria-label", `Answer to Exercise ${form.dataset.exercise}`);

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const [isRight, text] = judged(field, new FormData(form).get(id) ?? "");
      said.textContent = text;
      form.dataset.state = { true: "right", false: "wrong", null: "none" }[isRight];
    });
    form.hidden = false;
  }
});
