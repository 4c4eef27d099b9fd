/**
 * The flow as the stages declare it: every stage in order, and the picture of it that README shows.
 *
 * **Knows** everything.
 */
import audit from "../cmd/audit.ts";
import book from "../cmd/book.ts";
import doctor from "../cmd/doctor.ts";
import frames from "../cmd/frames.ts";
import ingest from "../cmd/ingest.ts";
import redrive from "../cmd/redrive.ts";
import rejects from "../cmd/rejects.ts";
import rules from "../cmd/rules.ts";
import simulate from "../cmd/simulate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";

/** Every stage, in the order of the flow. */
export const STAGES = [
  simulate,
  ingest,
  validate,
  sinkHot,
  sinkCold,
  audit,
  doctor,
  rejects,
  redrive,
  book,
  frames,
  rules,
];

const BEGIN = "<!-- flow: printed from the declarations by deno task bless -->";
const END = "<!-- end of flow -->";

/** The flow: what each stage reads, itself, what it writes or needs, one line a stage. */
export function flowText(): string {
  const left = STAGES.map((stage) => (stage === book ? stage.needs : stage.reads).join(" + "));
  const width = Math.max(...left.map((text) => text.length));
  const names = Math.max(...STAGES.map((stage) => stage.name.length));
  return STAGES.map((stage, i) => {
    const right = [...stage.writes, ...(stage === redrive ? [] : stage.needs)].join(" + ");
    return `${left[i]!.padStart(width)} ${left[i] === "" ? "  " : "─▶"} ${stage.name.padEnd(names)} ─▶ ${
      { audit: "findings", doctor: "problems", rejects: "letters", book: "a book", frames: "a manifest" }[stage.name] ??
        right
    }`;
  }).join("\n");
}

/** README with the flow between its marks. */
export function readmeWith(readme: string, flow: string): string {
  const [before, rest] = [readme.slice(0, readme.indexOf(BEGIN)), readme.slice(readme.indexOf(END))];
  return `${before}${BEGIN}\n\n\`\`\`text\n${flow}\n\`\`\`\n\n${rest}`;
}
