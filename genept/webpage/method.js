"use strict";

page.register("method", (place, data) => {
  const { element } = page;
  const dataset = page.chosen("dataset", data.datasets);
  const model = page.chosen("model", data.models);
  const [file, places] = data.chains[data.datasets.indexOf(dataset)][data.models.indexOf(model)];
  const names = places.map((number) => data.stages[number]);
  const recorded = new Map([...document.querySelectorAll("#method > details [data-stage]")].map((one) => [one.dataset.stage, one]));

  /** A copy of a stage's record, without the writers that are not in the chain. */
  function step(name) {
    const copy = recorded.get(name).cloneNode(true);
    for (const writer of copy.querySelectorAll("[data-writer]")) if (!names.includes(writer.dataset.writer)) writer.remove();
    return element("li", {}, copy);
  }

  place.replaceChildren(
    element(
      "div",
      { class: "choices" },
      page.choice("dataset", "Dataset", data.datasets, dataset),
      page.choice("model", "Model", data.models, model),
    ),
    element("p", {}, `The chain behind ${file}, from the score to the downloads: ${names.length} stages.`),
    element("ol", { class: "chain" }, ...names.map(step)),
  );
});
