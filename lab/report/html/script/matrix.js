// The matrices: columns grouped by runtime, line and era, rows rendered as they come into sight, keys as in a grid.

const CHUNK = 60; // rows made at once

const CAUSE_LETTERS = new Map();
for (const [kind, cause] of MATRIX.outcomes) {
  if (cause && !CAUSE_LETTERS.has(cause)) CAUSE_LETTERS.set(cause, letters(CAUSE_LETTERS.size));
}

function letters(number) {
  const last = String.fromCharCode(97 + (number % 26));
  return number < 26 ? last : letters(Math.floor(number / 26) - 1) + last;
}

// The sign of an outcome in a narrow cell; the letter of a cause stands below the table.
function shortSign(outcome) {
  const { kind, cause } = outcome;
  const sign = { passed: "✔", denied: "✗", failed: "✗", skipped: "skip", errored: "ERR" }[kind];
  return marks(outcome) + sign + (cause ? CAUSE_LETTERS.get(cause) : "");
}

function longSign(outcome) {
  const { kind, cause, derived } = outcome;
  if (!cause) return shortSign(outcome);
  return `${marks(outcome)} ✗ ${escapeText(cause)}${kind === "failed" ? " (failed)" : ""}${derived ? " (derived)" : ""}`.trim();
}

class Table {
  constructor(place) {
    this.place = place;
    this.source = MATRIX.scenarios[place];
    this.note = element("p", { class: "muted", role: "status" });
    this.key = element("p", { class: "key" });
    this.head = element("thead");
    this.body = element("tbody");
    this.grid = element("table", { role: "grid", "aria-label": `Matrix of ${escapeText(this.source.id)}` }, this.head, this.body);
    this.box = element("div", { class: "scroll" }, this.grid);
    const title = escapeText(this.source.id) + (this.source.control ? " (control cells)" : "");
    const fixed = this.source.fixed.map(([name, value]) => `${escapeText(name)} ${valueWords(value)}`).join(" · ");
    const inner = [element("p", {}, escapeText(this.source.question)), element("p", { class: "muted" }, fixed), this.note, this.box, this.key];
    this.section = this.source.control
      ? element("details", { class: "controls" }, element("summary", {}, title), ...inner)
      : element("section", { "aria-label": title }, element("h2", {}, title), ...inner);
    this.grid.addEventListener("keydown", (event) => this.onKey(event));
    this.grid.addEventListener("click", (event) => this.onClick(event));
    this.grid.addEventListener("focusin", (event) => this.onFocus(event));
    this.end = element("div");
    this.box.append(this.end);
    this.observer = new IntersectionObserver((seen) => this.onEnd(seen), { root: this.box, rootMargin: "600px" });
    this.observer.observe(this.end);
  }

  // Show what matches: rows and columns with a match; cells beside them stay readable, but step back.
  show(matches, view, plain) {
    const { cells, columns, rows } = this.source;
    this.matches = matches;
    this.rows = [];
    const used = new Uint8Array(columns.length);
    let count = 0;
    let all = 0;
    for (let row = 0; row < rows.length; row++) {
      let hit = false;
      for (let column = 0; column < columns.length; column++) {
        const cell = cells[row][column];
        if (cell < 0) continue;
        all += 1;
        if (matches[cell]) { hit = true; used[column] = 1; count += 1; }
      }
      if (hit) this.rows.push(row);
    }
    this.groups = groupColumns(columns, columns.map((_, column) => column).filter((column) => used[column]), view);
    this.view = view;
    this.section.hidden = count === 0;
    this.note.textContent = plain ? `${counted(all, "cell")}, ${counted(rows.length, "row")}` : `${count.toLocaleString("en")} of ${counted(all, "cell")}, in ${counted(this.rows.length, "row")}`;
    this.renderHead();
    this.body.replaceChildren();
    this.rendered = 0;
    this.tabStop = null;
    this.causes = new Map();
    this.grid.setAttribute("aria-rowcount", this.rows.length + this.head.rows.length);
    this.grid.setAttribute("aria-colcount", this.groups.length + 1);
    this.renderMore();
    this.box.scrollTop = 0;
    const name = this.body.querySelector("th");
    if (name) this.grid.style.setProperty("--names", `${name.offsetWidth}px`);
  }

  renderHead() {
    const { axes, columns } = this.source;
    const tiers = { version: ["family", "line", "era"], line: ["family"], era: ["family"] }[this.view];
    const names = { family: "runtime", line: "line", era: "era" };
    const tier = (name) => element("tr", {},
      element("th", { scope: "row", class: "corner" }, names[name]),
      ...spans(this.groups, (group) => tierKey(columns[group[0]], name)).map(([group, width]) =>
        element("th", { scope: "colgroup", colspan: width, class: "tier" }, element("span", {}, tierWords(columns[group[0]], name)))));
    const axisNames = axes.map(([name]) => element("span", {}, escapeText(name)));
    const last = element("tr", {},
      element("th", { scope: "col", class: "corner" }, element("div", { class: "axes" }, ...axisNames)),
      ...this.groups.map((group) => element("th", { scope: "col", class: this.view === "version" ? "version" : "range" },
        element("span", {}, groupWords(columns, group, this.view)))));
    this.head.replaceChildren(...tiers.map(tier), last);
    const widths = axes.map(([, values], axis) => {
      const longest = Math.max(axes[axis][0].length, ...values.slice(0, 200).map((value) => valueWords(value).length));
      return `${Math.min(longest + 1, 24)}ch`;
    });
    this.grid.style.setProperty("--axes", widths.join(" ") || "0");
  }

  renderMore() {
    const until = Math.min(this.rendered + CHUNK, this.rows.length);
    const made = [];
    for (; this.rendered < until; this.rendered++) made.push(this.renderRow(this.rendered));
    this.body.append(...made);
    if (made.length) this.renderKey();
    if (!this.tabStop) this.setTabStop(this.body.querySelector("td"));
  }

  renderRow(place) {
    const { axes, rows } = this.source;
    const row = rows[this.rows[place]];
    const above = place ? rows[this.rows[place - 1]] : null;
    let same = above !== null;
    const values = axes.map(([, known], axis) => {
      same = same && above[axis] === row[axis];
      return element("span", { class: same ? "same" : null }, valueWords(known[row[axis]]));
    });
    const made = element("tr", { "aria-rowindex": place + this.head.rows.length + 1 },
      element("th", { scope: "row" }, element("div", { class: "axes" }, ...values)));
    this.groups.forEach((group, column) => made.append(this.renderCell(this.rows[place], group, column)));
    return made;
  }

  renderCell(row, group, column) {
    const cells = group.map((one) => this.source.cells[row][one]).filter((cell) => cell >= 0);
    const hits = cells.filter((cell) => this.matches[cell]);
    const shown = hits.length ? hits : cells;
    const made = element("td", { tabindex: "-1", "aria-colindex": column + 2 });
    if (!shown.length) {
      made.append("·");
      made.setAttribute("aria-label", "·, no such cell, or not run");
      return made;
    }
    const outcomes = new Set(shown.map((cell) => MATRIX.cells[cell]));
    const first = outcomeOf(shown[0]);
    made.dataset.cell = shown[0];
    if (outcomes.size > 1) {
      made.className = "mixed";
      made.textContent = "◐";
      made.setAttribute("aria-label", `◐, ${outcomes.size} different outcomes in ${counted(shown.length, "cell")}`);
    } else {
      made.className = first.kind;
      made.textContent = this.view === "version" ? shortSign(first) : longSign(first);
      made.setAttribute("aria-label", `${made.textContent}, ${outcomeWords(first)}`);
      if (first.cause) this.causes.set(first.cause, longSign({ ...first, unmet: 0, surprise: 0 }));
    }
    if (!hits.length) made.classList.add("off");
    return made;
  }

  renderKey() {
    const named = [...CAUSE_LETTERS].filter(([cause]) => this.causes.has(cause));
    this.key.textContent = this.view === "version" ? named.map(([cause, letter]) => this.causes.get(cause).replace("✗", `✗${letter}`)).join(" · ") : "";
  }

  // The end of the rendered rows comes into sight; observed anew, because it may still be in sight afterwards.
  onEnd(seen) {
    if (!seen.at(-1).isIntersecting || this.rendered >= this.rows.length) return;
    this.renderMore();
    this.observer.unobserve(this.end);
    this.observer.observe(this.end);
  }

  setTabStop(cell) {
    this.tabStop?.setAttribute("tabindex", "-1");
    this.tabStop = cell;
    cell?.setAttribute("tabindex", "0");
  }

  focus(row, column) {
    while (row >= this.rendered && this.rendered < this.rows.length) this.renderMore();
    const line = this.body.rows[Math.max(0, Math.min(row, this.rows.length - 1))];
    const cell = line?.cells[Math.max(1, Math.min(column, this.groups.length))];
    if (!cell) return;
    this.box.style.setProperty("scroll-padding", `${this.head.offsetHeight + 8}px 8px 8px ${line.cells[0].offsetWidth + 8}px`);
    cell.focus({ preventScroll: true });
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  focusCell(cell) {
    const row = this.rows.indexOf(CELLS[cell].row);
    const column = this.groups.findIndex((group) => group.includes(CELLS[cell].column));
    if (row >= 0 && column >= 0) this.focus(row, column + 1);
  }

  onFocus(event) {
    const cell = event.target.closest("td");
    if (cell) this.setTabStop(cell);
  }

  onClick(event) {
    const cell = event.target.closest("td");
    if (cell?.dataset.cell) openCell(Number(cell.dataset.cell));
  }

  onKey(event) {
    const cell = event.target.closest("td");
    if (!cell || event.altKey || event.metaKey) return;
    const row = cell.parentNode.sectionRowIndex;
    const column = cell.cellIndex;
    const page = Math.max(1, Math.floor(this.box.clientHeight / cell.offsetHeight) - 2);
    const far = event.ctrlKey;
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [far ? 0 : row, 1], End: [far ? this.rows.length - 1 : row, this.groups.length],
      PageUp: [row - page, column], PageDown: [row + page, column],
    };
    if (event.key === "Enter" || event.key === " ") {
      if (cell.dataset.cell) openCell(Number(cell.dataset.cell));
    } else if (moves[event.key]) {
      this.focus(...moves[event.key]);
    } else {
      return;
    }
    event.preventDefault();
  }
}

function groupColumns(columns, shown, view) {
  if (view === "version") return shown.map((column) => [column]);
  const groups = new Map();
  for (const column of shown) {
    const [family, , engine, line, era] = columns[column];
    const key = JSON.stringify([family, engine, view === "line" ? line : era]);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(column);
  }
  return [...groups.values()];
}

// Neighbours with one key, and how many there are.
function spans(groups, key) {
  const found = [];
  let last = null;
  for (const group of groups) {
    const known = key(group);
    if (found.length && known === last) found.at(-1)[1] += 1;
    else found.push([group, 1]);
    last = known;
  }
  return found;
}

function tierKey([family, , engine, line, era], name) {
  return JSON.stringify([family, engine, name === "line" ? line : name === "era" ? era : ""]);
}

function tierWords([family, , engine, line, era], name) {
  if (name === "family") return escapeText(engine ? `${family} (${engine})` : family) || "—";
  return name === "line" ? escapeText(line) : String(era + 1);
}

function groupWords(columns, group, view) {
  const versions = group.map((column) => escapeText(columns[column][1]));
  if (view === "line") return `${escapeText(columns[group[0]][3])} (${versions.length})`;
  return versions.length > 2 ? `${versions[0]} … ${versions.at(-1)}` : versions.join(", ");
}
