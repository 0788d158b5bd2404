"use strict";
// Two linked scatterplots. They are made once and given other points, because a browser has few WebGL contexts.

page.cells = (() => {
  const SIDES = ["left", "right"];
  const SCREEN_READER = "Without a pointer, use the labels, the field for a cell's id and the tables.";
  const POINT = "Point at a cell to see its labels and which models have it right.";
  const NO_WEBGL = "This browser draws no cells, since it has no WebGL. The numbers are below.";
  const NO_PREDICTION = "not predicted";
  const { element } = page;
  const unpacked = new Map(); // promises of cells by dataset
  let view; // what is shown: data, cells, models by side, colouring
  let parts; // the elements that are filled
  let selected = []; // rows of cells
  let isLasso = false;

  const hasWebGL = (() => {
    const context = document.createElement("canvas").getContext("webgl");
    context?.getExtension("WEBGL_lose_context")?.loseContext();
    return context !== null;
  })();

  // Data

  async function inflate(text) {
    const characters = atob(text);
    const bytes = new Uint8Array(characters.length).map((_, i) => characters.charCodeAt(i));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Read a dataset's matrix: codes by annotation and predicting model, x and y by drawn model. */
  async function unpack({ cells: n, annotations, predicted, models, ids, matrix }) {
    const [texts, bytes] = await Promise.all([inflate(ids), inflate(matrix)]);
    let at = 0;
    const column = () => {
      const codes = new Uint16Array(n).map((_, i) => bytes[at + i] | (bytes[at + n + i] << 8));
      at += 2 * n;
      return codes;
    };
    return {
      ids: JSON.parse(new TextDecoder().decode(texts)),
      labels: Object.fromEntries(annotations.map(({ name }) => [name, column()])),
      predicted: Object.fromEntries(predicted.map((name) => [name, column()])),
      layouts: Object.fromEntries(models.map(({ name }) => [name, [column(), column()]])),
    };
  }

  const cellsOf = (name, set) => unpacked.get(name) ?? unpacked.set(name, unpack(set)).get(name);

  /** Whether a model has each cell right: 0 right, 1 wrong, 2 not predicted. */
  function verdicts({ labels, predicted }, model, none) {
    const said = predicted[model];
    return Uint8Array.from(labels.cell_type ?? [], (type, row) => (!said || said[row] === none ? 2 : Number(said[row] !== type)));
  }

  /** Whether most models that are drawn have each cell right, of those that predict it. */
  function majority(cells, models, none) {
    const [right, wrong] = [new Uint8Array(cells.ids.length), new Uint8Array(cells.ids.length)];
    for (const { name } of models) {
      verdicts(cells, name, none).forEach((is, row) => {
        if (is < 2) (is ? wrong : right)[row] += 1;
      });
    }
    return right.map((n, row) => (n + wrong[row] ? Number(n <= wrong[row]) : 2));
  }

  /** What the colours mean: the options of the choice as [value, text]. */
  function colourings(set) {
    const options = set.annotations.map(({ name, heading }) => [name, heading]);
    if (!set.annotations.some(({ name }) => name === "cell_type")) return options;
    return [...options, ["said-left", "Prediction of the left model"], ["said-right", "Prediction of the right model"], ["said-most", "Predictions of all models"]];
  }

  function colouring(key, { data, set, cells, models }) {
    const annotation = set.annotations.find(({ name }) => name === key);
    if (annotation) return { ...annotation, key, codes: cells.labels[key] };
    const model = models[key.split("-")[1]]?.name;
    const made = { key: `${key} ${model}`, colours: data.verdicts };
    if (model) return { ...made, heading: `Prediction of ${model}`, labels: ["right", "wrong", NO_PREDICTION], codes: verdicts(cells, model, data.none) };
    return { ...made, heading: "Predictions of the models to choose from", labels: ["most are right", "half or fewer are right", NO_PREDICTION], codes: majority(cells, set.models, data.none) };
  }

  // Colours

  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

  function luminance(hex) {
    const [r, g, b] = rgb(hex).map((value) => (value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  /** Lighten a colour on dark paper until its contrast is 3; the palette is made for white. */
  function visible(hex, paper) {
    const contrast = (luminance(hex) + 0.05) / (luminance(paper) + 0.05);
    if (!page.dark.matches || contrast >= 3) return hex;
    const lighter = rgb(hex).map((value) => Math.round(value + (255 - value) * 0.1).toString(16).padStart(2, "0"));
    return visible(`#${lighter.join("")}`, paper);
  }

  // Panels

  function makePanel(side) {
    const canvas = element("canvas", { "data-panel": side, role: "img" });
    const field = element("div", { class: hasWebGL ? "picture field" : "picture" }, hasWebGL ? canvas : NO_WEBGL);
    field.addEventListener("wheel", (event) => event.ctrlKey || event.metaKey || event.stopPropagation(), { capture: true });
    field.addEventListener("mousedown", (event) => event.preventDefault()); // else Shift and drag selects the page's text
    hearFingers(canvas);
    const panel = { side, canvas, field, caption: element("figcaption"), heading: element("h3"), rows: [], pointOf: [], work: Promise.resolve() };
    panel.root = element("figure", { class: "panel" }, panel.heading, field, panel.caption);
    return panel;
  }

  /** regl-scatterplot hears the mouse only: while the lasso is on, a finger is one. */
  function hearFingers(canvas) {
    for (const [from, to] of [["pointerdown", "mousedown"], ["pointermove", "mousemove"], ["pointerup", "mouseup"]]) {
      canvas.addEventListener(from, (event) => {
        if (!isLasso || event.pointerType === "mouse") return;
        event.preventDefault();
        const { clientX, clientY } = event;
        canvas.dispatchEvent(new MouseEvent(to, { bubbles: true, clientX, clientY, buttons: to === "mouseup" ? 0 : 1 }));
      });
    }
  }

  /** Start the plots; they share the WebGL context of the first. */
  function startPlots() {
    const [first, second] = parts.panels;
    for (const panel of parts.panels) {
      const shared = panel === second ? { renderer: first.plot.get("renderer") } : {};
      panel.plot = libraries.createScatterplot({
        ...shared, canvas: panel.canvas, colorBy: "valueA", spatialIndexUseWorker: false,
        pointSizeSelected: 2, pointOutlineWidth: 1, opacityInactiveMax: 0.4, antiAliasing: 0.3,
      });
      const other = panel === first ? second : first;
      panel.plot.subscribe("pointOver", (point) => {
        if (!isDrawn(panel)) return;
        const row = panel.rows[point];
        mark(other, row);
        parts.status.replaceChildren(...describe(row));
      });
      panel.plot.subscribe("pointOut", () => mark(other));
      panel.plot.subscribe("select", ({ points }) => isDrawn(panel) && choose(points.map((point) => panel.rows[point]), panel));
      panel.plot.subscribe("deselect", () => choose([], panel));
    }
    fitRenderer(first.plot.get("renderer"), first.field);
  }

  /** Draw at the size of a panel: the renderer's own choice, the window's, takes twice the time. */
  function fitRenderer(renderer, field) {
    new ResizeObserver(() => {
      if (!field.clientWidth) return;
      renderer.resize(field.clientWidth, field.clientHeight);
      renderer.refresh();
      parts.panels.forEach(({ plot }) => plot.redraw());
    }).observe(field);
  }

  /** Mark a cell in a panel; none without a row. */
  const mark = (panel, row) => isDrawn(panel) && panel.plot.hover(panel.pointOf[row] ?? -1, { preventEvent: true, showReticleOnce: true });

  const select = (panel) => isDrawn(panel) && panel.plot.select(selected.map((row) => panel.pointOf[row]).filter((point) => point >= 0), { preventEvent: true });

  function choose(rows, from) {
    selected = rows;
    parts.panels.filter((panel) => panel !== from).forEach(select);
    parts.selection.replaceChildren(...(rows.length ? counts(rows) : []));
  }

  function fillPanel(panel) {
    const { set, cells, data, models } = view;
    const model = models[panel.side];
    const [x, y] = cells.layouts[model.name];
    panel.rows = [...x.keys()].filter((row) => x[row] !== data.none);
    panel.pointOf = [];
    panel.rows.forEach((row, point) => (panel.pointOf[row] = point));
    const n = panel.rows.length;
    const count = n === set.cells ? `${n.toLocaleString("en")} cells` : `${n.toLocaleString("en")} of ${set.cells.toLocaleString("en")} cells: fine-tuning has seen the others`;
    panel.heading.replaceChildren(model.title);
    panel.caption.replaceChildren(count);
    panel.canvas.setAttribute("aria-label", `UMAP of ${set.title}, ${n.toLocaleString("en")} cells, ${model.title}, coloured by: ${view.colouring.heading}. ${SCREEN_READER}`);
    if (panel.plot) panel.work = panel.work.then(() => drawPoints(panel, view));
  }

  const pointsOf = ({ side }, { dataset, models, colouring }) => `${dataset} ${models[side].name} ${colouring.key}`;

  /** Whether a panel's points are those of the view; while others are drawn, a point is not yet one of its rows. */
  const isDrawn = (panel) => panel.points !== undefined && panel.points === pointsOf(panel, view);

  /** Draw what is asked for last. Points are given anew only if they are others, or have other labels. */
  async function drawPoints(panel, shown) {
    if (shown !== view) return;
    const { plot, rows } = panel;
    const { cells, data, colouring, isolated, models, dataset } = shown;
    const paper = page.colour("paper");
    const ink = page.colour("ink");
    const side = panel.field.clientWidth || 400;
    const faint = page.colour("line");
    const colours = colouring.colours.map((hex, code) => (isolated < 0 || code === isolated ? visible(hex, paper) : faint));
    plot.set({
      pointColor: colours, pointColorActive: colours, pointColorHover: colours, backgroundColor: paper, lassoColor: ink, reticleColor: ink,
      pointSize: Math.min(7, Math.max(2, Math.sqrt((0.3 * side ** 2) / (rows.length + 1)))), mouseMode: isLasso ? "lasso" : "panZoom",
    });
    const place = `${dataset} ${models[panel.side].name}`;
    if (!isDrawn(panel)) {
      panel.points = undefined;
      const [x, y] = cells.layouts[models[panel.side].name];
      const scale = (value) => (value / data.steps) * 2 - 1;
      const spatialIndex = panel.place === place ? plot.get("spatialIndex") : undefined;
      if (panel.place !== place) {
        plot.reset({ preventEvent: true });
        panel.shuffled = shuffle(rows);
      }
      await plot.draw(rows.map((row) => [scale(x[row]), scale(y[row]), colouring.codes[row]]), { zDataType: "categorical", spatialIndex });
      [panel.place, panel.points] = [place, pointsOf(panel, shown)];
      parts.root.classList.remove("waiting");
      if (shown !== view) return; // what is shown now is drawn next
    }
    plot.set({ pointOrder: order(panel, colouring, isolated) });
    select(panel);
  }

  /** Points in an order without meaning, the same each time, so that no label lies on top because of its place in the file. */
  function shuffle(rows) {
    const keys = rows.map((row) => (row * 2654435761) % 2 ** 32);
    return [...rows.keys()].sort((a, b) => keys[a] - keys[b]);
  }

  /** The order of drawing: cells without a label or prediction first, the isolated label last. */
  function order({ rows, shuffled }, { labels, codes }, isolated) {
    const first = labels.findIndex((label) => label === "Unknown" || label === NO_PREDICTION);
    const rank = (point) => (codes[rows[point]] === isolated ? 2 : Number(codes[rows[point]] !== first));
    return [0, 1, 2].flatMap((one) => shuffled.filter((point) => rank(point) === one));
  }

  // Texts and tables

  const share = (right, of) => (of ? page.three(right / of) : "–");

  /** Say what a cell is, and who has it right. */
  function describe(row) {
    const { set, cells, data } = view;
    const own = set.annotations.map(({ name, heading, labels }) => `${heading}: ${labels[cells.labels[name][row]]}`);
    const types = set.annotations.find(({ name }) => name === "cell_type")?.labels ?? [];
    const said = new Map(); // models by what they predict
    for (const model of set.predicted) {
      const code = cells.predicted[model][row];
      if (code !== data.none) said.set(code, [...(said.get(code) ?? []), model]);
    }
    const type = cells.labels.cell_type?.[row];
    const wrong = [...said].filter(([code]) => code !== type).map(([code, models]) => `${types[code]} (${models.join(", ")})`);
    const lines = said.size ? [`Right: ${said.get(type)?.join(", ") ?? "no model"}.`, `Wrong: ${wrong.join("; ") || "no model"}.`] : ["No model predicts this cell."];
    return [element("p", {}, element("strong", {}, cells.ids[row]), ` · ${own.join(" · ")}`), ...lines.map((line) => element("p", {}, line))];
  }

  /** For each label its cells, and the share of them that some models have right. */
  function byLabel(rows, models) {
    const { cells, data, colouring: { labels, codes, heading } } = view;
    const tally = (is) => {
      const n = labels.map(() => [0, 0, 0]);
      for (const row of rows) n[codes[row]][is?.[row] ?? 2] += 1;
      return n;
    };
    const judged = models.map((model) => [`${model}, share right`, tally(verdicts(cells, model, data.none))]);
    return tally().flatMap(([, , n], code) => {
      const shares = judged.map(([name, own]) => [name, share(own[code][0], own[code][0] + own[code][1])]);
      return n ? { [heading]: labels[code], Cells: n, ...Object.fromEntries(shares) } : [];
    });
  }

  /** Count the selected cells by label, and by who has them right. */
  function counts(rows) {
    const { set, cells, data } = view;
    const models = set.predicted.map((model) => {
      const is = verdicts(cells, model, data.none);
      const [right, wrong] = [0, 1].map((code) => rows.filter((row) => is[row] === code).length);
      return { Model: model, Right: right, "Of cells": right + wrong, Share: share(right, right + wrong) };
    });
    const tables = [byLabel(rows, []), ...(models.length ? [models] : [])].map(page.table);
    return [element("h3", {}, `${rows.length.toLocaleString("en")} selected ${rows.length === 1 ? "cell" : "cells"}`), element("div", { class: "pair" }, ...tables)];
  }

  // Controls

  function legend() {
    const { colouring: { heading, labels, colours, codes }, isolated } = view;
    const n = new Array(labels.length).fill(0);
    codes.forEach((code) => (n[code] += 1));
    const why = labels.length > 24 ? "Of so many labels, colours say little" : "Colours repeat";
    const hint = new Set(colours).size < colours.length ? ` ${why}: choose a label to see it alone, or point at a cell.` : "";
    const paper = page.colour("paper");
    const button = (label, code) =>
      element(
        "button",
        { type: "button", "data-key": `label-${code}`, "aria-pressed": String(code === isolated), onclick: () => page.set({ label: code === isolated ? undefined : label }) },
        element("span", { class: "swatch", style: `background: ${visible(colours[code], paper)}` }),
        element("span", {}, label),
        element("span", { class: "muted" }, n[code].toLocaleString("en")),
      );
    parts.legendTitle.replaceChildren(`${heading}: ${labels.length} ${labels.length === 1 ? "label" : "labels"}.${hint}`);
    parts.legend.replaceChildren(...labels.map(button).filter((_, code) => n[code]));
  }

  function controls() {
    const { data, set, models, key, dataset } = view;
    const names = set.models.map(({ name }) => name);
    const datasets = Object.entries(data.datasets).map(([name, { title }]) => [name, title]);
    parts.choices.replaceChildren(
      page.choice("dataset", "Dataset", datasets, dataset),
      page.choice("left", "Left", names, models.left.name),
      page.choice("right", "Right", names, models.right.name),
      page.choice("colour", "Colour", colourings(set), key),
      ...(hasWebGL ? [element("button", { type: "button", "data-key": "lasso", "aria-pressed": String(isLasso), onclick: toggleLasso }, "Lasso")] : []),
      element("button", { type: "button", "data-key": "reset", onclick: reset }, "Reset"),
      element("label", { class: "choice" }, element("span", {}, "Find a cell by its id"), element("input", { type: "search", "data-key": "find", onchange: find })),
    );
  }

  function toggleLasso() {
    isLasso = !isLasso;
    for (const { canvas, plot } of parts.panels) {
      canvas.style.touchAction = isLasso ? "none" : "";
      plot.set({ mouseMode: isLasso ? "lasso" : "panZoom" });
    }
    keepFocus(controls);
  }

  /** Show everything as it was at first. */
  function reset() {
    choose([]);
    for (const { plot } of parts.panels) plot?.reset();
    if (isLasso) toggleLasso();
    parts.status.replaceChildren(POINT);
    page.set({ label: undefined });
  }

  function find(event) {
    const row = view.cells.ids.indexOf(event.target.value.trim());
    parts.panels.forEach((panel) => mark(panel, row));
    parts.status.replaceChildren(...(row < 0 ? [element("p", {}, "No cell has this id.")] : describe(row)));
  }

  /** Fill again what has the focus, and give it back. */
  function keepFocus(fill) {
    const key = document.activeElement?.dataset?.key;
    fill();
    if (key) parts.root.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  }

  function build() {
    const panels = SIDES.map(makePanel);
    const made = {
      panels,
      choices: element("div", { class: "choices" }),
      caption: element("p", { class: "muted" }),
      status: element("div", { id: "cell-status", "aria-live": "polite" }),
      selection: element("div", {}),
      legendTitle: element("h3", { id: "legend-title" }),
      legend: element("div", { class: "legend", role: "group", "aria-labelledby": "legend-title" }),
      numbers: element("div", {}),
    };
    const help = "Drag to move, Ctrl and the wheel to zoom. Shift and drag, or the lasso, also with a finger, selects cells. ";
    made.root = element(
      "div", { class: hasWebGL && "waiting" }, made.choices, made.caption, element("div", { class: "panels" }, ...panels.map(({ root }) => root)),
      made.status, made.selection, made.legendTitle, made.legend,
      element("p", { class: "muted" }, (hasWebGL ? help : "") + SCREEN_READER), made.numbers,
    );
    return made;
  }

  async function draw(place, data, state) {
    parts ??= build();
    if (parts.root.parentNode !== place) place.replaceChildren(parts.root);
    if (hasWebGL && !parts.panels[0].plot) startPlots();
    const dataset = page.chosen("dataset", Object.keys(data.datasets));
    const set = data.datasets[dataset];
    const names = set.models.map(({ name }) => name);
    const model = (side, first) => set.models.find(({ name }) => name === page.chosen(side, [...names.filter((one) => one === first), ...names]));
    const key = page.chosen("colour", colourings(set).map(([name]) => name));
    const next = { data, set, dataset, key, models: { left: model("left"), right: model("right", data.right) } };
    const isOther = dataset !== view?.dataset;
    draw.latest = next;
    next.cells = await cellsOf(dataset, set);
    if (draw.latest !== next) return;
    next.colouring = colouring(key, next);
    next.isolated = next.colouring.labels.indexOf(state.label);
    view = next;
    if (isOther) {
      choose([]);
      parts.status.replaceChildren(POINT);
    }
    fill();
  }

  function fill() {
    const { set, models } = view;
    keepFocus(() => (controls(), legend()));
    const part = set.cells < set.total ? `${set.cells.toLocaleString("en")} of ${set.total.toLocaleString("en")} cells, a sample of each cell type.` : `${set.cells.toLocaleString("en")} cells.`;
    parts.caption.replaceChildren(`${part} Cell types are predicted ${set.split}.`);
    parts.panels.forEach(fillPanel);
    if (selected.length) parts.selection.replaceChildren(...counts(selected));
    const rows = byLabel([...view.cells.ids.keys()], [...new Set([models.left.name, models.right.name])]);
    parts.numbers.replaceChildren(element("h3", {}, "The numbers of this picture"), page.table(rows));
  }

  /** Where a cell is in a panel, in CSS pixels of the window; undefined if it is not drawn there. */
  function screenPosition(side, id) {
    const panel = parts?.panels[SIDES.indexOf(side)];
    const point = panel && isDrawn(panel) ? panel.pointOf[view.cells.ids.indexOf(id)] : undefined;
    if (point === undefined) return undefined;
    const [x, y] = panel.plot.getScreenPosition(point);
    const box = panel.canvas.getBoundingClientRect();
    return { x: box.left + x, y: box.top + y };
  }

  page.register("cells", draw);
  return { screenPosition };
})();
