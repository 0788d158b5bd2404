"use strict";
// What the views share. A view's script calls page.register(name, draw); draw(place, data, state) fills the
// place, the .drawn element of the view's section, when the view is opened and whenever the state, which is the URL's hash (#view=cells&dataset=covid), changes while it is open.

const page = (() => {
  const { Plot } = libraries;
  const views = new Map();
  const sections = [...document.querySelectorAll("main > section")];
  const parsed = new Map(); // data by view

  const state = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

  /** Change parts of the state; undefined removes one. The browser's history gets no entry for each choice. */
  function set(changes) {
    history.replaceState(null, "", changed(changes));
    show();
  }

  function changed(changes) {
    const now = new URLSearchParams(location.hash.slice(1));
    for (const [key, value] of Object.entries(changes)) value === undefined ? now.delete(key) : now.set(key, value);
    return `#${now}`;
  }

  /** Open a view with the choices that are made; the button Back returns to the one before. */
  function open(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab or window of its own
    event.preventDefault();
    const next = changed({ view: new URLSearchParams(event.currentTarget.hash.slice(1)).get("view") });
    if (next !== location.hash) history.pushState(null, "", next);
    show();
  }

  /** Go to the results without the link's own hash, which would be another state. */
  function skip(event) {
    event.preventDefault();
    const main = document.querySelector("main");
    main.focus();
    main.scrollIntoView();
  }

  function data(name) {
    if (!parsed.has(name)) parsed.set(name, JSON.parse(document.getElementById(`${name}-data`).textContent));
    return parsed.get(name);
  }

  /** Make an element; children are elements or text, which is never read as HTML. */
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value === true) made.setAttribute(key, "");
      else if (value !== false && value !== undefined) made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child !== undefined));
    return made;
  }

  /** A labelled select whose choice is a part of the state. Options are names or [value, text]. */
  function choice(key, label, options, value) {
    const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
    return element(
      "label",
      { class: "choice" },
      element("span", {}, label),
      element(
        "select",
        { "data-key": key, onchange: (event) => set({ [key]: event.target.value }) },
        ...pairs.map(([name, text]) => element("option", { value: name, selected: name === value }, text)),
      ),
    );
  }

  /** Return what the state has under a key if it is one of the options, else the first of them. */
  function chosen(key, options) {
    const value = state()[key];
    return options.includes(value) ? value : options[0];
  }

  /** A picture with its caption and, as its text alternative, the table of its numbers (rows of objects). */
  function figure(picture, caption, rows = []) {
    for (const mark of picture.querySelectorAll(":is(g, rect)[aria-label]")) mark.removeAttribute("aria-label"); // without role they may have none
    const made = element("figure", {}, element("div", { class: "picture" }, picture), element("figcaption", {}, caption));
    if (rows.length) made.append(element("details", {}, element("summary", {}, "The numbers of this picture"), table(rows)));
    return made;
  }

  /** A plain table of objects with the same keys. */
  function table(rows) {
    const keys = Object.keys(rows[0]);
    const cells = (row) => keys.map((key) => element("td", {}, row[key] === null || row[key] === undefined ? "–" : String(row[key])));
    return element(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Numbers" },
      element(
        "table",
        {},
        element("thead", {}, element("tr", {}, ...keys.map((key) => element("th", { scope: "col" }, key)))),
        element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row)))),
      ),
    );
  }

  /** A score with three decimals and the sign of a minus, which zero has not. */
  const three = (value) => (value === null || value === undefined ? "–" : value.toFixed(3).replace("-0.000", "0.000").replace("-", "−"));

  /** A colour of the page's style, by its name there: page.colour("ink"). */
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  /** Draw a view; a select that is drawn anew keeps the focus. */
  function draw(name) {
    const view = views.get(name);
    const key = document.activeElement?.dataset.key;
    if (view) view(document.querySelector(`#${name} .drawn`), data(name), state());
    if (key) document.querySelector(`#${name} [data-key="${key}"]`)?.focus();
  }

  function show() {
    const names = sections.map((section) => section.id);
    const name = chosen("view", names);
    for (const section of sections) section.classList.toggle("shown", section.id === name);
    for (const link of document.querySelectorAll("nav a")) {
      if (link.hash === `#view=${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    draw(name);
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");

  function start() {
    document.documentElement.classList.add("scripted");
    for (const link of document.querySelectorAll("nav a")) link.addEventListener("click", open);
    document.querySelector(".skip").addEventListener("click", skip);
    window.addEventListener("hashchange", show);
    window.addEventListener("beforeprint", () => {
      document.documentElement.classList.add("printing"); // what is hidden has no width to draw in
      [...views.keys()].forEach(draw);
    });
    window.addEventListener("afterprint", () => {
      document.documentElement.classList.remove("printing");
      show();
    });
    dark.addEventListener("change", show);
    let resized;
    window.addEventListener("resize", () => {
      clearTimeout(resized);
      resized = setTimeout(show, 200); // once the window rests
    });
    show();
  }

  document.addEventListener("DOMContentLoaded", start);
  return { Plot, register: (name, view) => views.set(name, view), set, data, element, choice, chosen, figure, table, three, colour, dark };
})();
