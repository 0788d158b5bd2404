// Lollipops: from the floor to each row's score, with its range, and a band where the controls lie.

page.register("overview", (place, data, state) => {
  const dataset = page.chosen("dataset", Object.keys(data.panels));
  const panels = data.panels[dataset];
  const width = Math.min(place.clientWidth || 1000, 1168);
  const columns = Math.max(1, Math.floor(width / 480));
  const longest = Math.max(...panels.flatMap((panel) => panel.lines.map((line) => line.model.length)));
  const names = Math.min(6.2 * longest + 8, width / columns / 2);
  place.replaceChildren(
    page.element("div", { class: "choices" }, page.choice("dataset", "Dataset", Object.keys(data.panels), dataset)),
    page.element(
      "div",
      { class: "panels", style: `--columns: ${columns}` },
      ...panels.map((panel) => lollipops(dataset, panel, data.looks, width / columns - 16, names)),
    ),
  );
});

function lollipops(dataset, panel, looks, width, names) {
  const controls = panel.lines.filter((line) => line.kind === "controls");
  const ends = controls.flatMap((line) => [line.low ?? line.value, line.high ?? line.value]);
  const band = ends.length ? [{ low: Math.min(...ends), high: Math.max(...ends) }] : [];
  const stroke = (line) => looks[line.model][0];
  const fill = (line) => (looks[line.model][1] === "full" ? stroke(line) : page.colour("paper"));
  const { Plot } = page;
  const picture = Plot.plot({
    ariaLabel: `${dataset}, ${panel.title}: ${panel.lines.length} rows`,
    width,
    height: 40 + 20 * panel.lines.length,
    marginLeft: names,
    marginRight: 16,
    x: { grid: true, nice: true, label: panel.is_lower_better ? "lower is better" : "higher is better", labelArrow: "none" },
    y: { label: null, domain: panel.lines.map((line) => line.model), tickSize: 0 },
    marks: [
      Plot.rectX(band, { x1: "low", x2: "high", fill: page.colour("line"), fillOpacity: 0.5 }),
      Plot.ruleX([panel.floor], { stroke: page.colour("muted"), strokeDasharray: "3 3" }),
      Plot.ruleY(panel.lines, { y: "model", x1: panel.floor, x2: "value", stroke, strokeWidth: 2 }),
      Plot.ruleY(panel.lines.filter((line) => line.low !== null), { y: "model", x1: "low", x2: "high", stroke, strokeWidth: 1 }),
      Plot.dot(panel.lines, {
        y: "model", x: "value", fill, stroke, r: 4, strokeWidth: 1.5,
        title: (line) => `${line.model}: ${page.three(line.value)}${line.low === null ? "" : ` (${page.three(line.low)} to ${page.three(line.high)})`}`,
        tip: true,
      }),
    ],
  });
  const caption = `${dataset}: ${panel.title}. Broken line: the floor, ${page.three(panel.floor)}.` +
    (band.length ? ` Band: the controls, ${page.three(band[0].low)} to ${page.three(band[0].high)}.` : "");
  return page.figure(picture, caption, panel.lines.map(({ model, kind, value, low, high }) => ({ row: model, kind, value, low, high })));
}
