"use strict";
// Every score of the run: DataTables shows words, the buttons give the lines of metrics/full. Selection, search, order and
// page are in the hash.

(() => {
  const { DataTable } = libraries;
  const PAGE_LENGTH = 25;
  const EMPTY = "-"; // in the hash, of a choice that is the empty text; no name is it
  let scores; // {columns, rows, table, selects}, made when the view is first opened
  let applied = {}; // the state that the table shows
  let isApplying = false;

  /** Unpack a column: the place of the text of each line. */
  function places({ codes, lengths }) {
    return lengths ? codes.flatMap((code, i) => Array(lengths[i]).fill(code)) : codes;
  }

  /** The lines, each an array of texts as the files have them. */
  function unpack(columns) {
    const all = columns.map(places);
    return all[0].map((_, line) => columns.map((column, i) => column.texts[all[i][line]]));
  }

  const { display, filter } = DataTable.render.text(); // what the search reads would be read as HTML, too

  /** Escape a name, and let it break after underscores. */
  const breakable = (text) => display(text).replaceAll("_", "_<wbr>");

  DataTable.type("score", {
    className: "number",
    order: {
      pre: (text) => (text === "" ? null : Number(text)),
      asc: (a, b) => emptyLast(a, b) ?? a - b,
      desc: (a, b) => emptyLast(a, b) ?? b - a,
    },
  });

  /** Order empty values after all others, in both directions; undefined if neither is empty. */
  function emptyLast(a, b) {
    if (a !== null && b !== null) return undefined;
    return (a === null) - (b === null);
  }

  /** Show a number with four decimals, a count as it is, nothing as nothing. */
  function printed(text, metric) {
    if (text === "" || metric.startsWith("n_") || metric === "support") return text;
    return Number(text).toFixed(4).replace("-", "\u2212");
  }

  /** How DataTables reads and writes a column: words for the eye, words and codes for the search. */
  function definition(column, i, metric) {
    const words = column.words && new Map(column.texts.map((text, place) => [text, column.words[place]]));
    const isScore = ["value", "low", "high", "sd", "first", "scaled"].includes(column.name);
    return {
      title: column.title,
      name: column.name,
      type: column.numbers ? "score" : "string",
      className: column.name,
      visible: column.name !== "protocol" || column.texts.length > 1,
      data: (row, type) => {
        if (type === "display") return words?.get(row[i]) ?? (isScore ? printed(row[i], row[metric]) : row[i]);
        return type === "filter" && words ? `${row[i]} ${words.get(row[i])}` : row[i];
      },
      render: { display: ["dataset", "model"].includes(column.name) ? breakable : display, filter },
    };
  }

  /** A field of a line as pandas writes it. */
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  /** The selected lines as a file, in the order of the files. */
  function lines(table, separator) {
    const rows = [scores.columns.map((column) => column.name), ...table.rows({ search: "applied", order: "index" }).data().toArray()];
    return rows.map((row) => `${row.map(quoted).join(separator)}\n`).join("");
  }

  /** A button that exports; DataTables' own text, which is of one column to be quick, is replaced. */
  function button(extend, text, separator) {
    const customize = (_, __, table) => lines(table, separator);
    return { extend, text, customize, filename: "scores", title: null, bom: false, exportOptions: { columns: 0 } };
  }

  /** Make the selects and the table. */
  function start(place, { columns }) {
    const rows = unpack(columns);
    const filters = columns.filter((column) => column.filters);
    const selects = filters.map((column) => page.choice(column.name, column.title, options(column)));
    const element = page.element("table", { class: "scores" });
    place.replaceChildren(page.element("div", { class: "choices" }, ...selects), element);
    const metric = columns.findIndex((column) => column.name === "metric");
    const table = new DataTable(element, {
      data: rows,
      columns: columns.map((column, i) => definition(column, i, metric)),
      autoWidth: false,
      deferRender: true,
      order: [],
      pageLength: PAGE_LENGTH,
      layout: {
        topStart: "search",
        topEnd: { buttons: [button("copy", "Copy", "\t"), button("csv", "CSV", ",")] },
        bottomStart: "info",
        bottomEnd: "paging",
      },
      language: {
        search: "Search",
        info: "_START_ to _END_ of _TOTAL_ scores",
        infoFiltered: "(of _MAX_)",
        infoEmpty: "No score",
        zeroRecords: "No score is like this.",
      },
    });
    const box = place.querySelector(".dt-layout-table");
    for (const [name, value] of Object.entries({ tabindex: 0, role: "region", "aria-label": "All scores" })) box.setAttribute(name, value);
    table.search.fixed("choices", (_, row) => filters.every((column) => isChosen(row[columns.indexOf(column)], column.name)));
    table.on("draw", () => remember(table));
    return { columns, filters, table };
  }

  const values = ({ texts }) => ["", ...texts.map((text) => text || EMPTY)];

  const options = (column) => ["all", ...(column.words ?? column.texts)].map((word, i) => [values(column)[i], word || "none"]);

  const isChosen = (text, name) => !applied[name] || applied[name] === (text || EMPTY);

  /** Put search, order and page of the table into the state. */
  function remember(table) {
    if (isApplying) return;
    const names = scores.columns.map((column) => column.name);
    const order = table.order().filter(([, direction]) => direction).map(([column, direction]) => `${names[column]}:${direction}`);
    const now = { find: table.search() || undefined, sort: order.join(",") || undefined, page: table.page() ? String(table.page() + 1) : undefined };
    if (Object.entries(now).some(([key, value]) => applied[key] !== value)) {
      applied = { ...applied, ...now };
      page.set(now);
    }
  }

  /** Read an order from the state; what names no column is left out. */
  function order(sort) {
    const names = scores.columns.map((column) => column.name);
    const pairs = sort.split(",").map((one) => one.split(":"));
    return pairs.filter(([name, direction]) => names.includes(name) && ["asc", "desc"].includes(direction)).map(([name, direction]) => [names.indexOf(name), direction]);
  }

  /** Show what the state says; a new selection starts at the first page. */
  function show(place, { table, filters }, state) {
    const choices = filters.map(({ name, ...column }) => [name, page.chosen(name, values(column)) || undefined]);
    const wanted = { ...Object.fromEntries(choices), find: state.find, sort: state.sort, page: state.page };
    const changed = Object.keys(wanted).filter((key) => wanted[key] !== applied[key]);
    if (!changed.length) return;
    applied = wanted;
    for (const select of place.querySelectorAll(".choices select")) select.value = wanted[select.dataset.key] ?? "";
    isApplying = true;
    table.search(wanted.find ?? "").order(order(wanted.sort ?? "")).draw();
    const last = table.page.info().pages - 1;
    const number = changed.includes("page") ? Number(wanted.page ?? 1) - 1 || 0 : 0;
    table.page(Math.max(0, Math.min(number, last))).draw("page");
    isApplying = false;
    remember(table);
  }

  page.register("table", (place, data, state) => {
    scores ??= start(place, data);
    show(place, scores, state);
  });
})();
