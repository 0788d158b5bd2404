// Bundle the pinned packages into libraries.js and libraries.css, the licences of all of them first.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const { metafile } = await build({
  stdin: {
    contents: `
      export * as Plot from "@observablehq/plot";
      export { default as createScatterplot } from "regl-scatterplot";
      export { default as DataTable } from "datatables.net-dt";
      import "datatables.net-buttons-dt";
      import "datatables.net-buttons/js/buttons.html5.mjs";
      import "datatables.net-dt/css/dataTables.dataTables.css";
      import "datatables.net-buttons-dt/css/buttons.dataTables.css";`,
    resolveDir: ".",
  },
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "libraries",
  legalComments: "none", // written below, once for each package
  charset: "utf8",
  outfile: "libraries.js",
  metafile: true,
});

const packages = new Set(
  Object.keys(metafile.inputs).map((path) => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1]).filter(Boolean),
);
const names = new Map(); // of the packages by the text of their licence
for (const name of [...packages].sort()) {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`));
  const file = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
  const text = file ? readFileSync(`${folder}/${file}`, "utf8").trim() : license;
  names.set(text, [...(names.get(text) ?? []), `${name} ${version}`]);
}
writeFileSync("licences.txt", [...names].map(([text, of]) => `${of.join(", ")}\n\n${text}\n`).join("\n---\n\n"));
