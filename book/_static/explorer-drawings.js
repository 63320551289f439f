// What the page "Type a sentence" draws, as specifications of Vega-Lite. Words stand at an
// axis of positions, for two of them may be the same.
const explorerDrawings = (() => {
  const LIGHT = ["#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7"]; // figures/style.py
  const DARK = ["#FFFFFF", "#E69F00", "#56B4E9", "#2FC59A", "#CC79A7"];
  const GREY = "#808080";
  const DASHES = [[1, 0], [5, 2], [1.5, 1.5], [7, 2, 1.5, 2], [3, 1.5, 1.5, 1.5]];
  const FORMAT = ".3~g";

  function look(element, isDark) {
    const style = getComputedStyle(element);
    const color = (name) => style.getPropertyValue(`--pst-color-${name}`).trim();
    const text = {
      labelColor: color("text-base"),
      labelFontSize: 12,
      titleColor: color("text-base"),
      titleFontSize: 12,
      titleFontWeight: "normal",
    };
    const muted = color("text-muted");
    return {
      actions: false,
      renderer: "svg",
      tooltip: { theme: isDark ? "dark" : "light" },
      config: {
        background: "transparent",
        font: style.fontFamily,
        view: { stroke: null },
        axis: { ...text, domainColor: muted, gridColor: color("border"), tickColor: muted },
        legend: { ...text, labelLimit: 0, titleLimit: 0 },
      },
    };
  }

  const atWords = (words, options) => ({
    labelExpr: `${JSON.stringify(words)}[datum.value]`,
    labelOverlap: false,
    ...options,
  });

  // What a logarithmic axis spans, and within powers of ten, of which five or so are
  // enough; 1, 2 and 5 times these where there are few
  function logarithmic(data) {
    const values = data.map(({ value }) => value).filter((value) => value > 0);
    const domain = [Math.min(...values) / 1.15, Math.max(...values) * 1.15];
    const [low, high] = domain.map((value) => Math.floor(Math.log10(value)));
    const stride = Math.ceil((high - low) / 5);
    const between = high - low > 2 ? [1] : [1, 2, 5];
    const powers = Array.from({ length: high - low + 1 }, (_, k) => low + k);
    const some = powers.filter((power) => power % Math.max(stride, 1) === 0);
    const all = some.flatMap((power) => between.map((n) => Number(`${n}e${power}`)));
    const ticks = all.filter((tick) => tick >= domain[0] && tick <= domain[1]);
    return { scale: { type: "log", nice: false, domain }, ticks };
  }

  // cells: {t, delay, word, after, value}; a frame stands around the followed word's column
  function heatMap({ cells, words, followed, title, symbol, isWhole, width, isDark }) {
    const n = words.length;
    const step = Math.max(17, Math.min(90, Math.floor((width - 64) / n)));
    const { scale, ticks } = logarithmic(cells);
    const color = {
      field: "value",
      type: "quantitative",
      scale: { scheme: "cividis", ...(isWhole ? scale : { domain: [0, 1] }) },
      legend: {
        title,
        values: isWhole ? ticks : [0, 0.5, 1],
        format: FORMAT,
        orient: "bottom",
        direction: "horizontal",
        gradientLength: Math.min(260, width - 80),
      },
    };
    const tooltip = [
      { field: "word", title: "word" },
      { field: "delay", title: "words on" },
      { field: "after", title: "having read" },
      { field: "value", title: symbol, format: FORMAT },
    ];
    const plain = { ticks: false, domain: false };
    const slanted = step < 64 ? { labelAngle: -60, labelAlign: "left" } : { labelAngle: 0 };
    const top = { title: null, orient: "top", labelPadding: 6, ...slanted, ...plain };
    const delay = { field: "delay", type: "ordinal" };
    return {
      width: { step },
      height: { step: Math.min(step, 24) },
      encoding: {
        x: { field: "t", type: "ordinal", axis: atWords(words, top) },
        y: { ...delay, axis: { title: "delay (words)", labelAngle: 0, ...plain } },
      },
      layer: [
        {
          data: { name: "cells", values: cells },
          mark: { type: "rect", cursor: "pointer" },
          encoding: { color, tooltip },
        },
        {
          data: { values: [{ t: followed, delay: 0, last: n - 1 - followed }] },
          mark: { type: "rect", fill: null, stroke: isDark ? "#fff" : "#000", strokeWidth: 2 },
          encoding: {
            y: { ...delay, bandPosition: 0 },
            y2: { field: "last", bandPosition: 1 },
          },
        },
      ],
    };
  }

  const havingRead = (words) => ({
    field: "after",
    type: "ordinal",
    axis: atWords(words, { title: "having read", labelAngle: -60, grid: false }),
  });
  const fitted = (width) => ({ width, autosize: { type: "fit-x", contains: "padding" } });

  // data: {after, word, value}, the memory or influence of one word
  function curve({ data, words, name, symbol, width, isDark }) {
    const color = (isDark ? DARK : LIGHT)[2];
    const { scale, ticks } = logarithmic(data);
    return {
      ...fitted(width),
      height: 150,
      data: { name: "curve", values: data },
      mark: { type: "line", color, point: { color, size: 45 } },
      encoding: {
        x: havingRead(words),
        y: {
          field: "value",
          type: "quantitative",
          scale,
          title: symbol === "nats" ? `${name}, ${symbol}` : `${name} ${symbol}`,
          axis: { values: ticks, format: FORMAT },
        },
        tooltip: [
          { field: "word", title: "having read" },
          { field: "value", title: symbol, format: FORMAT },
        ],
      },
    };
  }

  // data: {after, word, name, value}, the relative memory, say, of properties; the last
  // name is that of chance
  function relative({ data, names, words, title, width, isDark }) {
    const n = names.length - 1;
    const series = (range) => ({
      field: "name",
      type: "nominal",
      scale: { domain: names, range },
    });
    const legend = {
      title: null,
      orient: "bottom",
      columns: width < 480 ? 1 : 3,
      symbolType: "stroke",
      symbolSize: 300,
    };
    return {
      ...fitted(width),
      height: 190,
      data: { name: "relative", values: data },
      mark: { type: "line", point: { size: 35 } },
      encoding: {
        x: havingRead(words),
        y: {
          field: "value",
          type: "quantitative",
          scale: { domain: [0, 1] },
          title,
          axis: { tickCount: 5 },
        },
        color: { ...series([...(isDark ? DARK : LIGHT).slice(0, n), GREY]), legend },
        strokeDash: series([...DASHES.slice(0, n), [1, 3]]),
        tooltip: [
          { field: "name", title: "property" },
          { field: "word", title: "having read" },
          { field: "value", title, format: FORMAT },
        ],
      },
    };
  }

  return { look, heatMap, curve, relative };
})();
