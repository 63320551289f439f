// Figures that answer to a hand. A page holds specifications of Vega-Lite, each the twin
// of a figure. This script gives such a figure two buttons, "Figure" and "Explore"; the
// second draws the twin in its place, and loads Vega before the first of them. Under it
// stands a table of the values at the place that was pointed at or chosen.
(() => {
  const VEGA = new URL("made/vega.js", document.currentScript.src);
  const LABELS = 64; // pixels beside the axes, as figures/interactive.py leaves them
  const MOST = 8; // words that are listed, where several begin with what was typed
  const MARKS = {
    circle: "M9 6a5 5 0 1 0 10 0a5 5 0 1 0 -10 0",
    square: "M9 1h10v10h-10z",
    "triangle-up": "M14 1l6 10h-12z",
    diamond: "M14 0l6 6l-6 6l-6 -6z",
    "triangle-down": "M14 11l6 -10h-12z",
  };
  let library;

  function load() {
    library ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = VEGA.href;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });
    return library;
  }

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  const theme = () => (document.documentElement.dataset.theme === "dark" ? "dark" : "light");
  const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

  function look(colours) {
    const ink = css("--pst-color-text-base");
    const border = css("--pst-color-border");
    const axis = { labelColor: ink, titleColor: ink, domainColor: ink, tickColor: ink };
    const sizes = { labelFontSize: 12, titleFontSize: 13, titleFontWeight: "normal" };
    return {
      background: "transparent",
      font: getComputedStyle(document.body).fontFamily,
      axis: { ...axis, ...sizes, gridColor: border, gridOpacity: 0.5 },
      mark: { color: ink },
      point: { color: ink },
      text: { color: ink },
      title: { anchor: "start", color: ink, fontSize: 14, fontWeight: "normal" },
      view: { stroke: "transparent" },
      range: { category: colours[theme()] },
    };
  }

  class Twin {
    constructor(holder, figure) {
      this.spec = JSON.parse(holder.querySelector("script").textContent);
      this.about = this.spec.usermeta;
      this.figure = figure;
      this.picture = figure.querySelector("img");
      this.spec.description = this.picture.alt;
      this.chart = element("div", { class: "twin-chart" });
      this.values = element("div", { class: "twin-values", "aria-live": "polite" });
      holder.replaceChildren(this.chart, this.values);
      holder.hidden = true;
      this.holder = holder;
      this.buttons = ["Figure", "Explore"].map((name) =>
        element("button", { type: "button", "aria-pressed": "false" }, name),
      );
      const [drawn, explored] = this.buttons;
      drawn.addEventListener("click", () => this.show(false));
      explored.addEventListener("click", () => this.show(true));
      const caption = figure.querySelector("figcaption .caption-number");
      const label = `How to show ${caption?.textContent.trim() ?? "the figure"}`;
      const group = { class: "twin-switch", role: "group", "aria-label": label };
      figure.prepend(element("div", group, ...this.buttons));
      figure.querySelector("figcaption").before(holder);
      this.mark(false);
    }

    mark(isExplored) {
      const [drawn, explored] = this.buttons;
      drawn.setAttribute("aria-pressed", String(!isExplored));
      explored.setAttribute("aria-pressed", String(isExplored));
      this.figure.classList.toggle("explored", isExplored);
      this.holder.hidden = !isExplored;
    }

    async show(isExplored) {
      this.mark(isExplored);
      if (isExplored) {
        await load();
        await this.draw();
      }
    }

    // The signals that a reader sets, so that they outlast a change of theme or width.
    state() {
      const names = this.about.choices.map((_, number) => `show_${number}`);
      return [...names, "at"].map((name) => [name, this.view.signal(name)]);
    }

    async draw() {
      const kept = this.view ? this.state() : [];
      this.width = this.holder.clientWidth;
      this.theme = theme();
      const spec = structuredClone(this.spec);
      for (const panel of spec.vconcat ?? [spec]) panel.width = Math.max(this.width - LABELS, 180);
      const config = look(this.about.colours);
      this.view?.finalize();
      const { view } = await window.vegaEmbed(this.chart, spec, { ...this.about.embedOptions, config });
      this.view = view;
      for (const [name, value] of kept) view.signal(name, value);
      const hovers = Object.keys(view.getState().signals).filter((name) => /^hover_\d+$/.test(name));
      for (const name of hovers) {
        view.addSignalListener(name, (_, found) => this.point(found[this.about.key]?.[0]));
      }
      for (const [name] of this.state()) view.addSignalListener(name, () => this.readOut());
      await view.runAsync();
      this.rows = this.view.data("table").map((row) => this.parsed(row));
      this.name();
      this.readOut();
    }

    // Vega reads the numbers of the data's text for its marks only.
    parsed(row) {
      const kinds = Object.entries(this.spec.data.format.parse);
      const read = (text, kind) => (kind === "number" && text !== "" ? Number(text) : text);
      return Object.fromEntries(kinds.map(([name, kind]) => [name, read(row[name], kind)]));
    }

    point(place) {
      if (place === undefined || place === this.view.signal("at")) return;
      this.view.signal("at", place).runAsync();
    }

    // The check boxes are the legend: each has its line or mark before its name.
    name() {
      const boxes = this.chart.querySelectorAll("input[type=checkbox]");
      const colours = this.about.colours[this.theme];
      boxes.forEach((box, number) => {
        const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        swatch.setAttribute("aria-hidden", "true");
        swatch.setAttribute("viewBox", "0 0 28 12");
        const colour = colours[number % colours.length];
        const dash = this.about.dashes[number % this.about.dashes.length];
        const shape = MARKS[this.about.shapes[number % this.about.shapes.length]];
        swatch.innerHTML = this.about.lines
          ? `<path d="M0 6H28" stroke="${colour}" stroke-width="3" stroke-dasharray="${dash}"></path>`
          : `<path d="${shape}" fill="${colour}"></path>`;
        box.after(swatch);
      });
    }

    chosen() {
      const { choice, choices, key } = this.about;
      const at = this.view.signal("at");
      const isShown = (row) => this.view.signal(`show_${choices.indexOf(String(row[choice]))}`);
      const rows = (this.rows ?? []).filter(isShown);
      const exact = rows.filter((row) => row[key] === at);
      if (exact.length || typeof at === "number" || !at) return exact;
      const typed = at.toLowerCase();
      return rows.filter((row) => row[key].toLowerCase().startsWith(typed)).slice(0, MOST);
    }

    readOut() {
      const { choice, key, labels } = this.about;
      const rows = this.chosen();
      const at = this.view.signal("at");
      if (!rows.length) {
        const hint = at === "" ? `Point at the figure, or type a ${key}.` : `Nothing at ${key} ${at}.`;
        this.values.replaceChildren(element("p", {}, hint));
        return;
      }
      const isWord = rows[0][choice] !== undefined && this.spec.layer;
      const first = isWord ? key : choice;
      const head = [first, ...Object.values(labels)].map((text) => element("th", { scope: "col" }, text));
      const body = rows.map((row) =>
        element("tr", {}, element("th", { scope: "row" }, row[first]), ...Object.keys(labels).map((name) => cell(row, name))),
      );
      const title = isWord ? `${key}s` : `${key} ${at}`;
      this.values.replaceChildren(
        element(
          "table",
          {},
          element("caption", {}, title),
          element("thead", {}, element("tr", {}, ...head)),
          element("tbody", {}, ...body),
        ),
      );
    }
  }

  const short = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(3))));

  function cell(row, name) {
    const value = row[name];
    if (!Number.isFinite(value)) return element("td", {}, "–");
    const ends = [row[`${name}_lower`], row[`${name}_upper`]];
    const interval = ends.every(Number.isFinite) ? ` [${ends.map(short).join(", ")}]` : "";
    return element("td", { "data-value": value }, short(value) + interval);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const twins = [...document.querySelectorAll(".twin")].flatMap((holder) => {
      const figure = document.getElementById(holder.dataset.figure);
      return figure ? [new Twin(holder, figure)] : [];
    });
    const again = () => {
      for (const twin of twins) {
        const isOld = twin.theme !== theme() || twin.width !== twin.holder.clientWidth;
        if (twin.view && !twin.holder.hidden && isOld) twin.draw();
      }
    };
    new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    let waiting;
    window.addEventListener("resize", () => {
      clearTimeout(waiting);
      waiting = setTimeout(again, 200);
    });
  });
})();
