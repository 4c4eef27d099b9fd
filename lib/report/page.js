// What makes the page answer: rows are made as they are looked at, filtered and sorted from the results that it carries.
// Texts become text nodes and nothing else, whatever they hold.

const ROWS_AT_ONCE = 150;
const find = (selector) => document.querySelector(selector);

const switcher = find("#theme");
const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : chosen === "dark";
};
const name = () => switcher.textContent = isDark() ? "Light" : "Dark";
switcher.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  name();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
switcher.hidden = false;
name();

const carried = find("#results");
if (carried !== null) show(JSON.parse(carried.textContent));

function show({ columns, severities, rows }) {
  const at = Object.fromEntries(columns.map(({ name }, i) => [name, i]));
  const collator = new Intl.Collator("en", { numeric: true });
  const number = new Intl.NumberFormat("en");
  const controls = find(".controls");
  const order = { column: null, direction: 1 };
  const tables = [...document.querySelectorAll("table.results")].map((table) => new Rows(table));
  let words = null;

  controls.addEventListener("input", update);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.elements.order.addEventListener("change", ({ target }) => sortBy(target.value));
  for (const button of document.querySelectorAll(".results thead button")) {
    button.addEventListener("click", () => sortBy(button.value));
  }
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
    for (const table of tables) table.more(Infinity);
  });
  controls.hidden = false;
  update();

  /** By another column from its least, by the same one the other way round; counts from the most. */
  function sortBy(column) {
    const least = column === "failing" || column === "value" ? -1 : 1;
    order.direction = order.column === column ? -order.direction : least;
    order.column = column || null;
    controls.elements.order.value = column;
    for (const th of document.querySelectorAll(".results thead th")) {
      if (th.querySelector("button")?.value !== column) th.removeAttribute("aria-sort");
      else th.setAttribute("aria-sort", order.direction > 0 ? "ascending" : "descending");
    }
    update();
  }

  function update() {
    const { text, severity, status, venue, symbol } = controls.elements;
    const sought = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (sought.length > 0) words ??= rows.map((row) => row.filter((cell) => cell !== null).join("\n").toLowerCase());
    const wanted = Object.entries({ severity, status, venue, symbol }).filter(([, { value }]) => value !== "");
    const kept = rows.filter((row, i) =>
      wanted.every(([name, { value }]) => row[at[name]] === value) && sought.every((word) => words[i].includes(word))
    );
    if (order.column !== null) kept.sort(compared);
    const failed = kept.filter((row) => row[at.status] === "fail");
    const passed = kept.filter((row) => row[at.status] === "pass");
    tables[0].fill(failed);
    tables[1].fill(passed);
    const isNarrowed = kept.length < rows.length;
    find("#shown").textContent = isNarrowed
      ? `${number.format(kept.length)} of ${number.format(rows.length)} results: ${
        number.format(failed.length)
      } failed, ${number.format(passed.length)} passed`
      : `${number.format(rows.length)} results`;
    if (status.value === "pass") find("#passes").open = true;
    if (symbol.value !== "" && find("#folded") !== null) find("#folded").open = true;
    for (const day of document.querySelectorAll(".day")) {
      day.hidden = venue.value !== "" && day.dataset.venue !== venue.value ||
        symbol.value !== "" && day.dataset.symbol !== symbol.value;
    }
  }

  function compared(a, b) {
    const i = at[order.column];
    if (a[i] === b[i]) return 0;
    // What has none stands at the end, whichever way.
    if (a[i] === null || b[i] === null) return a[i] === null ? 1 : -1;
    if (order.column === "severity") return order.direction * (severities.indexOf(a[i]) - severities.indexOf(b[i]));
    return order.direction * (typeof a[i] === "number" ? a[i] - b[i] : collator.compare(a[i], b[i]));
  }

  /** The rows of one table: as many as were scrolled to, more when its end comes into sight. */
  function Rows(table) {
    const body = table.tBodies[0];
    const button = table.parentElement.querySelector(".more");
    const nothing = table.parentElement.querySelector(".nothing");
    let list = [], shown = 0;
    const details = table.closest("details");
    const isOpen = () => details === null || details.open;
    button.addEventListener("click", () => this.more(ROWS_AT_ONCE));
    details?.addEventListener("toggle", () => shown === 0 && this.more(ROWS_AT_ONCE));
    new IntersectionObserver((seen) => seen.some(({ isIntersecting }) => isIntersecting) && this.more(ROWS_AT_ONCE), {
      rootMargin: "600px",
    }).observe(button);

    this.fill = (rows) => {
      list = rows;
      shown = 0;
      body.replaceChildren();
      table.hidden = rows.length === 0;
      nothing.hidden = rows.length > 0;
      const count = table.closest("section").querySelector("[data-count]");
      count.textContent = number.format(rows.length);
      this.more(ROWS_AT_ONCE);
    };
    this.more = (count) => {
      if (!isOpen()) return;
      body.append(...list.slice(shown, shown + count).map(rowOf));
      shown = Math.min(list.length, shown + count);
      button.hidden = shown === list.length;
      button.textContent = `${number.format(list.length - shown)} more`;
    };
  }

  function rowOf(row) {
    const tr = element("tr");
    tr.role = "row";
    for (const { name, label } of columns) {
      const cell = cellOf(name, row);
      if (cell === null) continue;
      cell.dataset.label = label;
      tr.append(cell);
    }
    return tr;
  }

  function cellOf(name, row) {
    const value = row[at[name]];
    switch (name) {
      case "severity": {
        const word = row[at.status] === "pass" ? "pass" : value;
        const cell = element("td", "first short");
        cell.append(element("span", `mark ${word}`, word));
        return asCell(cell);
      }
      case "name": {
        const cell = element("th", "", value);
        cell.scope = "row";
        cell.role = "rowheader";
        if (row[at.check] !== value) cell.append(element("small", "", row[at.check]));
        return cell;
      }
      case "failing":
        return asCell(element("td", "number", row[at.status] === "fail" ? number.format(value) : ""));
      case "evidence": {
        const cell = element("td", "short");
        if (value !== null) {
          const link = element("a", "", "rows");
          link.href = value;
          link.setAttribute("aria-label", `every failing row of ${row[at.name]}`);
          cell.append(link);
        }
        return asCell(cell);
      }
      case "wanted":
        return asCell(element("td", "soft", value));
      case "observed":
        return asCell(element("td", "", value));
      case "symbol":
        return asCell(element("td", "whole", value));
      case "venue":
      case "table":
      case "date":
        return columns[at[name]].isHidden ? null : asCell(element("td", "short soft", value));
      default:
        return null;
    }
  }

  function asCell(cell) {
    cell.role = "cell";
    return cell;
  }
}

function element(tag, className = "", text = null) {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  if (text !== null) made.textContent = text;
  return made;
}
