// The run: its passes, each with what happened inside it and the graphs before and behind it.

const DATA = JSON.parse(document.getElementById("run-data").textContent);
const RUN = DATA.run;
const REPORT = RUN.report ?? {};
const STAGES = DATA.stages;

/** The index of the graph as it was when so many passes had run, -1 where there is none. */
function stageBehind(number) {
  return STAGES.findLastIndex((stage) => stage.number <= number);
}

/** The passes, in order. A pass is told of when it has ended, behind what happened inside it. */
function passesOf(events) {
  const found = [];
  let inside = [];
  for (const event of events) {
    if (event.kind !== "pass") {
      inside.push(event);
      continue;
    }
    found.push(passOf(event.pass, event, inside, found.length + 1));
    inside = [];
  }
  if (inside.length || (RUN.error && !REPORT.layers)) {
    const name = inside[0]?.pass ?? "the compile";
    found.push({ ...passOf(name, null, inside, found.length + 1), failed: true });
  }
  return found;
}

function passOf(name, event, steps, number) {
  const after = stageBehind(number);
  return {
    name,
    event,
    steps,
    number,
    before: stageBehind(number - 1),
    after,
    redrew: STAGES[after]?.number === number,
    snr: (REPORT.passes ?? [])[number - 1]?.snr_db ?? null,
  };
}

const WHOLE = {
  name: "the whole run",
  number: 0,
  event: null,
  steps: [],
  before: STAGES.length ? 0 : -1,
  after: STAGES.length - 1,
  redrew: STAGES.length > 1,
  snr: null,
};
/** The whole run stands first, so that a pass stands at its own number. */
const PASSES = [WHOLE, ...passesOf(DATA.events)];

/** How many steps there are in all passes. */
const STEPS = PASSES.reduce((sum, pass) => sum + pass.steps.length, 0);

/** Whether nothing happened in a pass, so that it can be folded away. */
const isQuiet = (pass) =>
  !pass.redrew && !pass.steps.length && !pass.failed && !pass.event?.changes && pass.number > 0;

/** What the rules of a pass nearly matched. */
const missesOf = (pass) => (RUN.near_misses ?? []).filter((miss) => miss.number === pass.number);

/** `patterns/algebra/fold.spq:3` of any word that begins so, else "". */
function placeOf(words) {
  return /^(.*\.spq:\d+)/.exec(String(words ?? ""))?.[1] ?? "";
}

/** The names that an application or a decision is about, on the side before it and behind it. */
function namesIn(step) {
  const list = (given) =>
    Array.isArray(given) ? given.filter((x) => typeof x === "string") : typeof given === "string" ? [given] : [];
  const about = list(step.name);
  return { before: [...list(step.before), ...about], after: [...list(step.after), ...about] };
}

/** What a step is called: the rule that was applied, or what was decided. */
function titleOf(step) {
  return String(step.rule ?? step.what ?? step.kind ?? "a step");
}

/** The declarations behind a step, as it names them. */
function rulesOf(step) {
  return [step.span, step.by].flat().filter((words) => typeof words === "string" && words);
}

/** Rows of the report by the value that they are about. */
const LAYERS = new Map((REPORT.layers ?? []).map((row) => [row.value, row]));
const PLAIN = new Map((REPORT.without_weights ?? []).map((row) => [row.value, row]));
const QUANTIZERS = new Map((REPORT.quantizers ?? []).map((row) => [row.value, row]));
const KERNELS = DATA.engine?.kernels ?? [];
const KERNEL_OF = new Map(
  KERNELS.flatMap((kernel, index) => (kernel.values ?? []).map((value) => [value, index])),
);
