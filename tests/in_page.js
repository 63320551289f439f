// What tests/test_browser.py asks of a page that is open: each question gives a list of
// the elements that fail, in words; an empty list is what it wants.
window.book = (() => {
  // The page of a search has no article.
  const article = () => document.querySelector("article") ?? document.querySelector("main");
  const all = (selector) => [...article().querySelectorAll(selector)];

  function named(element, note) {
    const name = [element.localName, ...element.classList].join(".");
    const text = element.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
    return `${name} "${text}": ${note}`;
  }

  function scrollsItself(element) {
    return ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
  }

  function boxOf(element) {
    for (let box = element.parentElement; box !== article(); box = box.parentElement) {
      if (scrollsItself(box)) return box;
    }
    return null;
  }

  const isWider = (element) => element.scrollWidth > element.clientWidth + 1;

  // What a box without a scrollbar cuts off; formulas for screen readers are not seen.
  function cutOff() {
    return all("div, section, p, dt, dd, li, aside, span.math")
      .filter((box) => getComputedStyle(box).overflowX === "hidden" && isWider(box))
      .flatMap((box) => {
        const edge = box.getBoundingClientRect().right + 1;
        const seen = [...box.querySelectorAll("*")].filter(
          (element) =>
            !element.closest("mjx-assistive-mml") &&
            element.getBoundingClientRect().right > edge &&
            (boxOf(element) ?? box).contains(box),
        );
        return seen.slice(0, 1).map((element) => named(element, "cut off"));
      });
  }

  function tooWide() {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const outside = all("*").filter(
      (element) => element.getBoundingClientRect().right > width && !boxOf(element),
    );
    return [`the page scrolls sideways, at ${width} px`].concat(
      outside.slice(0, 3).map((e) => named(e, `${Math.round(e.scrollWidth)} px`)),
    );
  }

  function tablesWithoutBox() {
    const room = article().getBoundingClientRect().right + 1;
    return all("table")
      .filter((table) => table.getBoundingClientRect().right > room && !boxOf(table))
      .map((table) => named(table, `${table.offsetWidth} px in no box that scrolls`));
  }

  // A reader must see that a box goes on, and reach it without a mouse.
  function boxesWithoutSign() {
    const scrolling = all("*").filter((e) => scrollsItself(e) && isWider(e));
    return scrolling.flatMap((box) => {
      const style = getComputedStyle(box);
      const shadow = style.backgroundImage.includes("gradient");
      return [
        shadow ? [] : [named(box, "scrolls, and no shadow says so")],
        box.tabIndex === 0 ? [] : [named(box, "scrolls, and the Tab key passes by")],
      ].flat();
    });
  }

  function images() {
    const room = article().getBoundingClientRect().right + 1;
    return all("img").flatMap((image) => [
      image.alt.trim() ? [] : [named(image, `${image.src.slice(-40)} has no alt text`)],
      image.naturalWidth ? [] : [named(image, `${image.src.slice(-40)} does not load`)],
      image.getBoundingClientRect().right <= room
        ? []
        : [named(image, `${image.src.slice(-40)} is wider than its column`)],
    ].flat());
  }

  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const colors = new Map();

  // [red, green, blue, alpha] of any CSS colour, also of color-mix and oklch
  function rgba(color) {
    if (!colors.has(color)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = color;
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      colors.set(color, [r, g, b, a / 255]);
    }
    return colors.get(color);
  }

  function over(front, back) {
    const alpha = front[3];
    return [0, 1, 2].map((i) => alpha * front[i] + (1 - alpha) * back[i]);
  }

  function background(element) {
    const below = element.parentElement ? background(element.parentElement) : [255, 255, 255];
    return over(rgba(getComputedStyle(element).backgroundColor), below);
  }

  // WCAG 2.2: relative luminance, and the contrast of two colours
  function luminance(color) {
    const [r, g, b] = color.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(element) {
    const paper = background(element);
    const ink = over(rgba(getComputedStyle(element).color), paper);
    const [light, dark] = [luminance(ink), luminance(paper)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  }

  function hasText(element) {
    const isText = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim();
    return [...element.childNodes].some(isText);
  }

  // Code that is folded away counts: a reader may open it.
  function canBeSeen(element) {
    return element.checkVisibility() || element.closest("details:not([open])");
  }

  // 4.5 is WCAG's AA for text of this size.
  function unreadable() {
    return all("*:not(script, style, svg *, mjx-assistive-mml *)")
      .filter((element) => hasText(element) && canBeSeen(element))
      .map((element) => [element, contrast(element)])
      .filter(([, ratio]) => ratio < 4.5)
      .map(([element, ratio]) => named(element, `contrast ${ratio.toFixed(1)}`));
  }

  function isDark() {
    return luminance(background(document.body)) < 0.1;
  }

  // Coloured cells stay below a luminance of one half; paper and pale grey do not.
  function whiteTables() {
    return all("table, .output.text_html, th, td")
      .map((element) => [element, luminance(background(element))])
      .filter(([, light]) => light > 0.5)
      .map(([element, light]) => named(element, `luminance ${light.toFixed(2)}`));
  }

  return {
    boxesWithoutSign, cutOff, images, isDark, tablesWithoutBox, tooWide, unreadable, whiteTables,
  };
})();
