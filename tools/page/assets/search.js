// One box that finds nodes, modules, rules and passes; the arrow keys choose among them.

const MOST_FOUND = 30;

function searchBox() {
  const list = element("ul", { id: "found", role: "listbox", "aria-label": "found", hidden: true });
  const box = element("input", {
    id: "search", type: "search", placeholder: "find a node, rule or pass  ( / )", "aria-label": "find a node, a rule or a pass",
    role: "combobox", "aria-expanded": "false", "aria-controls": "found", autocomplete: "off",
    oninput: () => showFound(box, list), onkeydown: (event) => chooseFound(event, box, list),
    onblur: () => setTimeout(() => closeFound(box, list), 150), onfocus: () => box.value && showFound(box, list),
  });
  return element("div", { class: "search" }, box, list);
}

/** What has the words in its name: `[text, what it is, what to look at]`. */
function find(words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (text) => wanted.every((word) => text.toLowerCase().includes(word));
  const found = [];
  for (const pass of PASSES.slice(1)) if (fits(`pass ${pass.name}`)) found.push([pass.name, `pass ${pass.number}`, { pass: pass.number, step: 0 }]);
  for (const [place, text] of Object.entries(DATA.rules)) if (fits(`${place} ${text.split("\n")[0]}`)) found.push([text.split("\n")[0], place, { rule: place }]);
  const seen = new Set();
  const state = stateNow();
  for (const index of new Set([PASSES[state.pass].after, PASSES[state.pass].before, STAGES.length - 1])) {
    if (index < 0) continue;
    const graph = graphOf(index);
    for (const node of graph.nodes) {
      if (found.length >= 4 * MOST_FOUND) break;
      if (seen.has(node.id) || !fits(`${node.id} ${node.op} ${node.module}`)) continue;
      seen.add(node.id);
      found.push([node.id, [node.op, node.module].filter(Boolean).join(" · "), { node: node.id, tab: "graph" }]);
    }
    for (const name of graph.constants.keys()) {
      if (found.length >= 4 * MOST_FOUND || seen.has(name) || !fits(name)) continue;
      seen.add(name);
      found.push([name, "constant", { node: graph.readers.get(name)?.[0]?.id ?? name, tab: "graph" }]);
    }
  }
  const exact = (item) => (item[0].toLowerCase() === words.trim().toLowerCase() ? 0 : 1);
  return found.sort((a, b) => exact(a) - exact(b)).slice(0, MOST_FOUND);
}

function showFound(box, list) {
  const found = box.value.trim() ? find(box.value) : [];
  list.replaceChildren(...found.map(([text, kind, target], i) =>
    element("li", { id: `found-${i}`, role: "option", "aria-selected": i === 0 ? "true" : "false", onmousedown: (e) => (e.preventDefault(), take(target, box, list)) },
      element("span", {}, text), " ", element("span", { class: "dim" }, kind))));
  list.targets = found.map(([, , target]) => target);
  if (box.value.trim() && !found.length) list.append(element("li", { class: "dim" }, "nothing is called so"));
  list.hidden = !box.value.trim();
  box.setAttribute("aria-expanded", String(!list.hidden));
  say(box.value.trim() ? `${found.length} found` : "");
}

function chooseFound(event, box, list) {
  const items = [...list.querySelectorAll("[role=option]")];
  const at = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const next = (at + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length;
    items.forEach((item, i) => item.setAttribute("aria-selected", String(i === next)));
    items[next]?.scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", `found-${next}`);
  } else if (event.key === "Enter" && at >= 0) take(list.targets[at], box, list);
  else if (event.key === "Escape") closeFound(box, list), box.blur();
  else return;
  event.preventDefault();
}

function take(target, box, list) {
  closeFound(box, list);
  box.blur();
  go({ rule: "", ...target });
}

function closeFound(box, list) {
  list.hidden = true;
  box.setAttribute("aria-expanded", "false");
}
