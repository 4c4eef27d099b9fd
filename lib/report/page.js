// What makes the page answer: rows are made as they are looked at, filtered and sorted from the results that it carries.
// Those of one expectation are one row that unfolds, as long as nobody asks for single ones.
// Texts become text nodes and nothing else, whatever they hold.

const ROWS_AT_ONCE = 150;
// Orders that leave an expectation's results together.
const WHOLE = [null, "severity", "name", "table"];
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
  const plural = (n, word) => `${number.format(n)} ${word}${n === 1 ? "" : "s"}`;
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
    for (const table of tables) table.unfold();
  });
  controls.hidden = false;
  update();

  /** By another column from its least, by the same one the other way round, then as the suite has them; counts from the most. */
  function sortBy(column) {
    const least = column === "failing" || column === "value" ? -1 : 1;
    const isSame = order.column === column;
    order.column = isSame && order.direction !== least ? null : column || null;
    order.direction = isSame ? -order.direction : least;
    controls.elements.order.value = order.column ?? "";
    for (const th of document.querySelectorAll(".results thead th")) {
      if (order.column === null || th.querySelector("button")?.value !== order.column) th.removeAttribute("aria-sort");
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
    const isSingle = sought.length > 0 || symbol.value !== "" || !WHOLE.includes(order.column);
    tables[0].fill(failed, isSingle);
    tables[1].fill(passed, isSingle);
    const isNarrowed = kept.length < rows.length;
    find("#shown").textContent = isNarrowed
      ? `${number.format(kept.length)} of ${number.format(rows.length)} results: ${
        number.format(failed.length)
      } failed, ${number.format(passed.length)} passed`
      : plural(rows.length, "result");
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

    this.fill = (rows, isSingle) => {
      list = isSingle ? rows.map((row) => ({ row })) : groupsOf(rows);
      shown = 0;
      body.replaceChildren();
      table.hidden = rows.length === 0;
      nothing.hidden = rows.length > 0;
      const count = table.closest("section").querySelector("[data-count]");
      const isGrouped = list.length < rows.length;
      count.textContent = `${number.format(rows.length)}${isGrouped ? ` in ${plural(list.length, "row")}` : ""}`;
      this.more(ROWS_AT_ONCE);
    };
    this.more = (count) => {
      if (!isOpen()) return;
      body.append(...list.slice(shown, shown + count).map((entry) => entry.members ? groupOf(entry) : rowOf(entry)));
      shown = Math.min(list.length, shown + count);
      button.hidden = shown === list.length;
      button.textContent = `${number.format(list.length - shown)} more`;
    };
    this.unfold = () => {
      const folded = list.filter(({ members, isOpen }) => members && !isOpen);
      for (const group of folded) group.isOpen = true;
      list = list.flatMap((entry) => folded.includes(entry) ? [entry, ...entry.members] : [entry]);
      body.replaceChildren();
      shown = 0;
      this.more(Infinity);
    };

    function groupOf(group) {
      const tr = element("tr", "group");
      tr.role = "row";
      const toggle = element("button", "", group.row[at.name]);
      toggle.type = "button";
      toggle.ariaExpanded = String(group.isOpen);
      toggle.addEventListener("click", () => {
        const i = list.indexOf(group);
        const rest = list.slice(i + 1 + (group.isOpen ? group.members.length : 0));
        group.isOpen = !group.isOpen;
        toggle.ariaExpanded = String(group.isOpen);
        list = [...list.slice(0, i + 1), ...group.isOpen ? group.members : [], ...rest];
        // What stands before it stays where it is, and so does the focus.
        while (body.lastChild !== tr) body.lastChild.remove();
        shown = i + 1;
        more(ROWS_AT_ONCE);
      });
      for (const { name, label } of columns) {
        const cell = cellOf(name, group.row);
        if (cell === null) continue;
        cell.dataset.label = label;
        if (name === "name") cell.firstChild.replaceWith(toggle);
        else if (name === "observed") {
          cell.append(element("small", "", ["the worst", group.row[at.symbol]].filter(Boolean).join(", ")));
        } else if (name === "symbol") cell.textContent = plural(group.instruments || group.members.length, group.word);
        else if (name === "failing") {
          const failing = group.members.reduce((sum, { row }) => sum + row[at.failing], 0);
          cell.textContent = group.row[at.status] === "fail" ? number.format(failing) : "";
        } else if ((name === "venue" || name === "date") && !group.same.has(name)) {
          cell.textContent = plural(distinct(group.members, name), name);
        } else if (name === "evidence" && !group.same.has(name)) cell.replaceChildren();
        tr.append(cell);
      }
      return tr;
    }
    const more = this.more;
  }

  function distinct(members, name) {
    return new Set(members.map(({ row }) => row[at[name]])).size;
  }

  /** Results of one expectation and table as one entry, that of its worst, which holds the others; a single one as itself. */
  function groupsOf(rows) {
    const keyOf = (row) => JSON.stringify([row[at.severity], row[at.name], row[at.table]]);
    return [...Map.groupBy(rows, keyOf).values()].map((rows) => {
      if (rows.length === 1) return { row: rows[0] };
      const group = { row: rows.toSorted(worse)[0], members: [], isOpen: false, same: new Set() };
      const sorted = order.column === null ? rows.toSorted(worse) : rows;
      group.members = sorted.map((row) => ({ row, group }));
      for (const name of ["venue", "date", "wanted", "evidence"]) {
        if (distinct(group.members, name) === 1) group.same.add(name);
      }
      group.instruments = new Set(
        rows.filter((row) => row[at.symbol] !== null).map((row) => JSON.stringify([row[at.venue], row[at.symbol]])),
      ).size;
      group.word = group.instruments > 0 ? "instrument" : "result";
      return group;
    });
  }

  /** The worst first: what is farthest beyond its bound, or short of it, and then what fails most often. */
  function worse(a, b) {
    const badness = (row) => {
      const value = row[at.value];
      if (value === null) return -Infinity;
      return /at least|or more/.test(row[at.wanted]) ? -value : Math.abs(value);
    };
    return badness(b) - badness(a) || b[at.failing] - a[at.failing] || 0;
  }

  /** The row of a result; what one of a group has in common with the others is said by the group. */
  function rowOf({ row, group = null }) {
    const tr = element("tr", group === null ? "" : "member");
    tr.role = "row";
    for (const { name, label } of columns) {
      let cell = cellOf(name, row);
      if (cell === null) continue;
      if (group !== null) {
        if (["severity", "name", "table"].includes(name) || group.same.has(name) && name !== "date") {
          cell = asCell(element("td"));
        } else if (name === "symbol" && row[at.symbol] !== null) {
          cell = element("th", "", row[at.symbol]);
          cell.scope = "row";
          cell.role = "rowheader";
        }
      }
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
