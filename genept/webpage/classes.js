"use strict";
// F1 of each cell type, confusion matrices and curves. Two models are shown in full, in the same colours everywhere.

(() => {
  const { Plot } = page;
  const FONT = 12; // pixels, as the style says
  const GAP = 24; // pixels between two pictures side by side
  const WORDS = { models: "other models", baseline: "baseline", controls: "controls", "fine-tuned": "fine-tuned", bounds: "floors, supervised" };
  const DASHES = { controls: "5 3", "fine-tuned": "2 2" };

  /** A filled ring, which looks hollow: d3's own hollow symbols have no place beside filled ones in one scale. */
  const ring = {
    draw(context, size) {
      const radius = Math.sqrt(size / Math.PI);
      for (const [r, isInner] of [[radius, false], [0.6 * radius, true]]) {
        context.moveTo(r, 0);
        context.arc(0, 0, r, 0, 2 * Math.PI, isInner);
      }
      context.closePath();
    },
  };

  /** The looks of the two shown models and of the roles of the others, as scales of Plot. */
  function looks(roles, [first, second], models) {
    const muted = page.colour("muted");
    const kinds = Object.keys(WORDS).filter((role) => models.some((model) => ![first, second].includes(model) && roles[model] === role));
    const colours = { models: `${muted}80`, baseline: muted, controls: muted, "fine-tuned": `${muted}b0`, bounds: `${muted}60` };
    const symbols = { models: "circle", baseline: "circle", controls: ring, "fine-tuned": "triangle", bounds: "square" };
    const shown = [first, second].filter((model) => models.includes(model));
    const domain = [...shown, ...kinds.map((role) => WORDS[role])];
    const own = new Map([[first, page.colour("accent")], [second, page.colour("ink")]]);
    return {
      series: (model) => (shown.includes(model) ? model : WORDS[roles[model]]),
      color: { domain, range: [...shown.map((model) => own.get(model)), ...kinds.map((role) => colours[role])] },
      symbol: { domain, range: [...shown.map((model) => (roles[model] === "controls" ? ring : "circle")), ...kinds.map((role) => symbols[role])] },
    };
  }

  /** Give a drawing its name for those who do not see it. */
  function named(drawing, label) {
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", label);
    return drawing;
  }

  /** Let a picture that is wider than its place be scrolled by keyboard. */
  function scrollable(figure, label) {
    const box = figure.querySelector(".picture");
    for (const [name, value] of Object.entries({ tabindex: 0, role: "region", "aria-label": label })) box.setAttribute(name, value);
    return figure;
  }

  /** Space for labels beside a picture, in pixels; what does not fit is cut by `cut`. */
  const marginFor = (labels, width) => Math.min(0.45 * width, 220, 16 + 7 * Math.max(...labels.map((label) => label.length)));

  const cut = (margin) => ({ label: null, tickSize: 0, tickPadding: 6, textOverflow: "ellipsis", lineWidth: (0.92 * (margin - 8)) / FONT });

  /** F1 of each class: a row for each, a dot for each model, ranges of the two shown ones. */
  function f1({ roles }, scores, shown, width) {
    const { series, color, symbol } = looks(roles, shown, scores.models);
    const label = (i) => (scores.cells[i] === null ? scores.classes[i] : `${scores.classes[i]} (${scores.cells[i].toLocaleString("en")})`);
    const points = scores.models.flatMap((model, m) =>
      scores.classes.map((name, i) => ({ model, class: label(i), f1: scores.value[m][i], low: scores.low[m][i], high: scores.high[m][i], series: series(model) })),
    ).filter((point) => point.f1 !== null);
    const isShown = ({ model }) => shown.includes(model);
    const title = (point) => `${point.model}\n${point.class}\nF1 ${page.three(point.f1)}${point.low === null ? "" : `, ${page.three(point.low)} to ${page.three(point.high)}`}`;
    const labels = scores.classes.map((_, i) => label(i));
    const margin = marginFor(labels, width);
    const dot = { x: "f1", y: "class", fill: "series", symbol: "series" };
    const drawing = Plot.plot({
      width,
      marginLeft: margin,
      marginTop: 30,
      height: 60 + 26 * labels.length,
      x: { domain: [0, 1], axis: "both", label: "F1", labelAnchor: "center", labelArrow: "none", grid: true, ticks: 5 },
      y: { domain: labels },
      color,
      symbol,
      marks: [
        Plot.axisY(cut(margin)),
        Plot.ruleY(labels, { y: (name) => name, stroke: "currentColor", strokeOpacity: 0.08 }),
        Plot.dot(points.filter((point) => !isShown(point)), { ...dot, r: 3.5 }),
        ...[...shown].reverse().flatMap((model, i) => {
          const own = points.filter((point) => point.model === model);
          const dy = shown.length > 1 ? 4 - 8 * i : 0;
          return [
            Plot.ruleY(own.filter((point) => point.low !== null), { x1: "low", x2: "high", y: "class", stroke: "series", strokeWidth: 2, dy }),
            Plot.dot(own, { ...dot, r: 5, dy }),
          ];
        }),
        Plot.tip(points, Plot.pointer({ x: "f1", y: "class", title })),
      ],
    });
    const rows = points.map(({ model, class: name, f1, low, high }) => ({ Model: model, "Cell type": name, F1: page.three(f1), Low: page.three(low), High: page.three(high) }));
    const legend = Plot.legend({ color, symbol, fill: "color" });
    return page.figure(together(legend, named(drawing, `F1 of ${labels.length} cell types`)), scores.caption, rows);
  }

  const together = (...parts) => page.element("div", {}, ...parts);

  /** Black or white, whichever is read better on a colour "rgb(r, g, b)". */
  function readableOn(colour) {
    const [r, g, b] = colour.match(/[\d.]+/g).map((part) => (part / 255) ** 2.2);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
  }

  /** The least side of a matrix's cell in pixels: a count or a label has to fit. */
  const leastSide = ({ printed }) => (printed ? 22 : 13);

  /** Whether a matrix fits a width. */
  const fits = (confusion, width) => marginFor(confusion.classes, width) + confusion.classes.length * leastSide(confusion) + 8 <= width;

  /** One confusion matrix. */
  function matrix(confusion, model, width) {
    const { classes } = confusion;
    const counts = confusion.counts[confusion.models.indexOf(model)];
    const n = classes.length;
    const sums = classes.map((_, i) => counts.slice(i * n, (i + 1) * n).reduce((a, b) => a + b, 0));
    const cells = counts.map((count, at) => {
      const actual = Math.floor(at / n);
      return { actual: classes[actual], predicted: classes[at % n], count, share: sums[actual] ? count / sums[actual] : null, of: sums[actual] };
    });
    const margin = marginFor(classes, width);
    const side = Math.max(leastSide(confusion), Math.min(64, Math.floor((width - margin - 8) / n)));
    const scale = { type: "linear", domain: [0, 1], range: [page.colour("paper"), page.colour("accent")] };
    const { apply } = Plot.scale({ color: scale });
    const title = (cell) => `${cell.actual} taken for ${cell.predicted}\n${cell.count} of ${cell.of} cells (${page.three(cell.share)})`;
    const drawing = Plot.plot({
      width: margin + side * n + 8,
      height: side * n + 8 + margin,
      marginLeft: margin,
      marginRight: 8,
      marginTop: margin,
      marginBottom: 8,
      padding: 0,
      x: { domain: classes },
      y: { domain: classes },
      color: scale,
      marks: [
        Plot.axisX({ anchor: "top", tickRotate: -90, ...cut(margin) }),
        Plot.axisY(cut(margin)),
        Plot.cell(cells, { x: "predicted", y: "actual", fill: (cell) => cell.share ?? 0, inset: 0.5, stroke: "currentColor", strokeOpacity: 0.12 }),
        confusion.printed ? Plot.text(cells.filter(({ count }) => count), { x: "predicted", y: "actual", text: "count", fill: (cell) => readableOn(apply(cell.share)), fontSize: 10 }) : null,
        Plot.tip(cells, Plot.pointer({ x: "predicted", y: "actual", title })),
      ],
    });
    const right = classes.reduce((sum, _, i) => sum + counts[i * (n + 1)], 0);
    const total = sums.reduce((a, b) => a + b, 0);
    const caption = `${model}: ${right} of ${total} cells right (accuracy ${page.three(right / total)}).`;
    const rows = cells.filter(({ count }) => count).map(({ actual, predicted, count, share }) => ({ Actual: actual, Predicted: predicted, Cells: count, Share: page.three(share) }));
    return scrollable(page.figure(named(drawing, `Confusion matrix of ${model}`), caption, rows), `Confusion matrix of ${model}`);
  }

  /** ROC or precision-recall curves of all models. */
  function curves({ roles }, panel, key, shown, width) {
    const { series, color } = looks(roles, shown, panel.models);
    const isRoc = key === "roc";
    const [x, y, heading] = isRoc ? ["False positive rate", "True positive rate", "ROC"] : ["Recall", "Precision", "Precision and recall"];
    const constant = isRoc ? [[0, 0], [1, 1]] : [[0, panel.share], [1, panel.share]];
    const points = panel.models.flatMap((model, m) => {
      const [xs, ys] = panel[key][m];
      return xs.map((_, i) => ({ model, x: xs[i] / 1000, y: ys[i] / 1000, series: series(model) }));
    });
    const line = (some, options) => Plot.line(some, { x: "x", y: "y", z: "model", stroke: "series", ...options });
    const others = points.filter(({ model }) => !shown.includes(model));
    const side = Math.min(width, 520);
    const drawing = Plot.plot({
      width: side,
      height: side,
      marginLeft: 44,
      marginBottom: 40,
      x: { domain: [0, 1], label: x, labelAnchor: "center", labelArrow: "none", ticks: 5 },
      y: { domain: [0, 1], label: y, labelAnchor: "center", labelArrow: "none", ticks: 5 },
      color,
      marks: [
        Plot.frame({ strokeOpacity: 0.3 }),
        Plot.line(constant, { stroke: "currentColor", strokeDasharray: "1 4", strokeWidth: 1.5 }),
        ...Object.keys(WORDS).map((role) => line(others.filter(({ model }) => roles[model] === role), { strokeDasharray: DASHES[role], strokeWidth: 1.25 })),
        ...[...shown].reverse().map((model) => line(points.filter((point) => point.model === model), { strokeWidth: 2.5 })),
        Plot.tip(points, Plot.pointer({ x: "x", y: "y", title: (p) => `${p.model}\n${x} ${page.three(p.x)}\n${y} ${page.three(p.y)}` })),
      ],
    });
    const rows = panel.models.map((model, m) => ({ Model: model, ...sampled(panel[key][m], y) }));
    return page.figure(named(drawing, `${heading} curves of ${panel.models.length} models`), `${heading}: ${panel.title}.`, rows);
  }

  /** A curve's height at a few places, for its table: at a jump the higher end. */
  function sampled([xs, ys], name) {
    const at = (x) => {
      const next = xs.findIndex((value) => value >= x);
      if (next < 0) return null;
      if (xs[next] === x) return Math.max(...ys.filter((_, i) => xs[i] === x));
      return ys[next - 1] + ((x - xs[next - 1]) / (xs[next] - xs[next - 1])) * (ys[next] - ys[next - 1]);
    };
    return Object.fromEntries([100, 250, 500, 750, 900].map((x) => [`${name} at ${x / 1000}`, page.three(at(x) === null ? null : at(x) / 1000)]));
  }

  /** What the lines of the curves are. */
  function legend(roles, shown, models) {
    const { color } = looks(roles, shown, models);
    const dashes = (name) => DASHES[Object.keys(WORDS).find((role) => WORDS[role] === name)] ?? "none";
    const entries = [...color.domain.map((name, i) => [name, color.range[i], dashes(name)]), ["constant answer (majority)", "currentColor", "1 4"]];
    const stroke = ([, colour, dash]) => Plot.plot({ width: 32, height: 12, margin: 0, axis: null, x: { domain: [0, 1] }, y: { domain: [0, 1] }, marks: [Plot.line([[0, 0.5], [1, 0.5]], { stroke: colour, strokeDasharray: dash, strokeWidth: 2.5 })] });
    return page.element("ul", { class: "lines" }, ...entries.map((entry) => {
      const drawing = stroke(entry);
      drawing.setAttribute("aria-hidden", "true");
      return page.element("li", {}, drawing, entry[0]);
    }));
  }

  function draw(place, data, _state) {
    const dataset = page.chosen("dataset", Object.keys(data.datasets));
    const own = data.datasets[dataset];
    const scored = own.f1.map(({ split }) => split);
    const scores = own.f1[scored.indexOf(page.chosen("split", scored))];
    const models = Object.keys(data.roles);
    const first = page.chosen("model", [data.shown[0], ...models]);
    const second = page.chosen("beside", [data.shown.at(-1), ...models]);
    const shown = [...new Set([first, second])];
    const panels = own.curves.panels;
    const panel = panels[page.chosen("curves", panels.map((_, i) => String(i)))];
    const width = place.clientWidth || 1000; // hidden places have none
    const half = width > 900 ? Math.floor((width - GAP) / 2) : width;
    const choices = [
      page.choice("dataset", "Dataset", Object.keys(data.datasets), dataset),
      page.choice("model", "Model", models, first),
      page.choice("beside", "Beside", models, second),
      scored.length > 1 && page.choice("split", "Split", own.f1.map(({ split, words }) => [split, words]), scores.split),
    ];
    const pair = (each, ...figures) => page.element("div", { class: each < width ? "pair" : "" }, ...figures);
    const { confusion } = own;
    const matrices = shown.filter((model) => confusion?.models.includes(model));
    const each = confusion && fits(confusion, half) ? half : width;
    place.replaceChildren(
      page.element("div", { class: "choices" }, ...choices.filter(Boolean)),
      page.element("h3", {}, "F1 of each cell type"),
      scores ? f1(data, scores, shown, width) : page.element("p", {}, "No F1 of single cell types in this run."),
      page.element("h3", {}, "Confusion"),
      page.element("p", { class: "muted" }, confusion?.caption ?? "No cell type was predicted in this run."),
      pair(each, ...matrices.map((model) => matrix(confusion, model, each))),
      page.element("h3", {}, "Curves of predicted probabilities"),
      ...(panel
        ? [
            page.element("div", { class: "choices" }, page.choice("curves", "Curves", panels.map(({ title }, i) => [String(i), title]), String(panels.indexOf(panel)))),
            page.element("p", { class: "muted" }, own.curves.caption),
            legend(data.roles, shown, panel.models),
            pair(half, ...["roc", "precision_recall"].map((key) => curves(data, panel, key, shown, half))),
          ]
        : [page.element("p", {}, `No annotation of ${dataset} is predicted by logistic regression.`)]),
    );
  }

  page.register("classes", draw);
})();
