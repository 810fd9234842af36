// Two graphs as text in two columns: what is equal is folded, what is gone or other is marked.

/** Equal lines around a difference that stay in sight. */
const AROUND = 3;

const keyOf = (row) => (row.kind === "header" || row.kind === "return" ? row.kind : (row.out?.[0] ?? row.text));

/** Rows `[left, right]` of line numbers, null where a side has none; in the order of both. */
function alignedLines(left, right) {
  const at = new Map(right.map((number, i) => [keyOf(DATA.lines[number]), i]));
  const common = longestRise(left.map((number) => at.get(keyOf(DATA.lines[number])) ?? -1));
  const rows = [];
  let next = 0;
  left.forEach((number, i) => {
    const partner = common.get(i);
    if (partner === undefined) rows.push([number, null]);
    else {
      while (next < partner) rows.push([null, right[next++]]);
      rows.push([number, right[next++]]);
    }
  });
  while (next < right.length) rows.push([null, right[next++]]);
  return rows;
}

/** The longest rising selection of positions, as index -> position: what keeps its order. */
function longestRise(positions) {
  const ends = [], before = [];
  positions.forEach((position, i) => {
    if (position < 0) return;
    let low = 0, high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (positions[ends[middle]] < position) low = middle + 1;
      else high = middle;
    }
    before[i] = low ? ends[low - 1] : undefined;
    ends[low] = i;
  });
  const found = new Map();
  for (let i = ends.at(-1); i !== undefined; i = before[i]) found.set(i, positions[i]);
  return found;
}

function textDiff(pass) {
  if (pass.after < 0) return [element("p", {}, "There is no graph of this run.")];
  const [before, after] = [STAGES[pass.before], STAGES[pass.after]];
  const rows = alignedLines(before.lines, after.lines);
  const other = rows.map(([a, b]) => a !== b);
  const near = rows.map((_, i) => other.slice(Math.max(0, i - AROUND), i + AROUND + 1).includes(true));
  const body = element("tbody");
  const table = element("table", { class: "diff" },
    element("thead", {}, element("tr", {}, element("th", {}, stageName(before)), element("th", {}, stageName(after)))), body);
  const parts = runs(rows, near);
  appendRuns(body, parts, rows);
  const changed = other.filter(Boolean).length;
  return [element("p", { class: "dim" }, changed ? `${count(changed, "line")} of ${rows.length} differ.` : "The two graphs are equal."), table];
}

const stageName = (stage) => `${String(stage.number).padStart(2, "0")} ${stage.name} (${stage.level})`;

/** Stretches `[from, to, shown]` of rows. */
function runs(rows, near) {
  const found = [];
  rows.forEach((_, i) => {
    if (i && near[i] === near[i - 1]) found.at(-1)[1] = i + 1;
    else found.push([i, i + 1, near[i]]);
  });
  return found;
}

/** Add rows up to a limit; the rest, and what is folded, comes when it is asked for. */
function appendRuns(body, parts, rows) {
  let left = MOST_ROWS;
  for (const [index, [from, to, shown]] of parts.entries()) {
    if (!shown) body.append(foldedRow(body, rows, from, to));
    else {
      body.append(...rows.slice(from, Math.min(to, from + left)).map(diffRow));
      left -= to - from;
      if (left <= 0) {
        const rest = [[from + left + (to - from), to, true], ...parts.slice(index + 1)].filter(([a, b]) => a < b);
        if (rest.length) body.append(buttonRow("show more", (row) => (row.remove(), appendRuns(body, rest, rows))));
        return;
      }
    }
  }
}

function foldedRow(body, rows, from, to) {
  return buttonRow(count(to - from, "equal line"), (row) => {
    const end = Math.min(to, from + MOST_ROWS);
    row.replaceWith(...rows.slice(from, end).map(diffRow), ...(end < to ? [foldedRow(body, rows, end, to)] : []));
  });
}

function buttonRow(text, onclick) {
  const row = element("tr", { class: "folded" });
  row.append(element("td", { colspan: 2 }, element("button", { type: "button", onclick: () => onclick(row) }, text)));
  return row;
}

function diffRow([a, b]) {
  const style = a === b ? "" : a === null ? "new" : b === null ? "gone" : "changed";
  return element("tr", { class: style }, diffCell(a, { gone: "−", changed: "~" }[style]), diffCell(b, { new: "+", changed: "~" }[style]));
}

function diffCell(number, mark = " ") {
  if (number === null) return element("td", { class: "none" });
  const [code, comment] = splitComment(DATA.lines[number].text);
  return element("td", {}, element("span", { class: "mark", "aria-hidden": "true" }, mark), code, comment ? element("span", { class: "dim" }, comment) : null);
}

function splitComment(text) {
  const at = text.lastIndexOf("  # ");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at)];
}
