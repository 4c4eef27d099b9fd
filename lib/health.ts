/**
 * The health of an installation: which of the facts about doors, topics, places and room are problems, what mends each,
 * and how it all looks on a terminal. Nothing here opens or asks anything.
 *
 * **In** facts as `examine` wrote them down, **Out** problems, notes, text.
 * **Knows** `columns`, `examine`, `transport`, `failure`.
 */
import { columns } from "./columns.ts";
import { type DoorFact, type Facts, type Guard, type Look, type Position, type StageName, STAGES } from "./examine.ts";
import { printable } from "./failure.ts";
import { type Range, TOPICS } from "./transport.ts";

/** Something that is wrong, where, and what mends it. */
export interface Problem {
  readonly problem: string;
  readonly place: string;
  readonly detail: string;
  /** A command, or what to do by hand. */
  readonly action: string;
}

/** From where on something is a problem. */
export interface Bounds {
  /** Free room of a disk at least, bytes. */
  readonly roomMin: number;
  /** How far a server's clock may be off, ms. */
  readonly skewMsMax: number;
}

/** A stage's place in a partition, held against the log. */
export interface Standing {
  readonly stage: StageName;
  readonly topic: string;
  readonly partition: number;
  /** Null where no one ever took it. */
  readonly position: Position | null;
  /** What the partition holds; null where the log does not tell. */
  readonly range: Range | null;
  /** Records that wait; null where the log does not tell. */
  readonly behind: number | null;
  /** Whether records waited all the time that was watched, and nobody took one: by then nobody is there, or who is. */
  readonly stuck: false | "left" | "held";
}

const NAMES = Object.values(TOPICS);
/** Columns that hold words. */
const WORDS = new Set(["door", "where", "format", "topic", "identity", "stage", "place", "owner since", "last commit"]);
const SHOWN = 20;
const ANOTHER = "begin another tape: another --data, prefix or schema, or deno task pipeline --fresh";

/** Every place that a stage has or should have taken, of the stages whose doors answered. */
export function standingsOf({ looks: [before, after] }: Facts): readonly Standing[] {
  return STAGES.flatMap(({ stage, topics }) => {
    const positions = after.positions[stage];
    if (positions === null) return [];
    return topics.flatMap((topic) => {
      const ranges = after.topics?.[topic]?.ranges ?? [];
      const beyond = positions.filter((p) => p.topic === topic && p.partition >= ranges.length);
      return [...ranges.keys(), ...beyond.map(({ partition }) => partition)].map((partition) =>
        standingOf(stage, topic, partition, before, after)
      );
    });
  });
}

function standingOf(stage: StageName, topic: string, partition: number, before: Look, after: Look): Standing {
  const at = ({ positions }: Look) => positions[stage]?.find((p) => p.topic === topic && p.partition === partition);
  const position = at(after) ?? null;
  const range = after.topics?.[topic]?.ranges[partition] ?? null;
  const next = position?.next ?? 0;
  const highBefore = before.topics?.[topic]?.ranges[partition]?.high ?? 0;
  const isStill = highBefore > next && at(before)?.next === position?.next;
  const isHeld = position?.isOwned === true;
  // What the cold sink has taken is seen only when its unit closes.
  const stuck = isStill && (!isHeld ? "left" : stage !== "sink-cold" && "held");
  return {
    ...{ stage, topic, partition, position, range, stuck },
    behind: range === null ? null : Math.max(0, range.high - Math.max(next, range.low)),
  };
}

/** What is wrong, in the order in which to mend it. */
export function problemsOf(facts: Facts, bounds: Bounds): readonly Problem[] {
  const standings = standingsOf(facts).map((standing) => ({ ...standing, problem: placeProblem(standing, facts) }));
  const placed = standings.flatMap(({ problem }) => problem ?? []);
  return [
    ...facts.doors.flatMap(doorProblems),
    ...topicProblems(facts),
    // Another log is another one for all partitions of a topic, and told once.
    ...new Map(placed.map((problem) => [`${problem.place} ${problem.detail}`, problem])).values(),
    ...waitingProblems(standings.filter(({ problem }) => problem === null)),
    ...facts.doors.flatMap(guardProblems),
    ...roomProblems(facts, bounds),
    ...skewProblems(facts, bounds),
  ];
}

/** What is worth knowing and no problem. */
export function notesOf(facts: Facts): readonly string[] {
  const { topics, positions } = facts.looks[1];
  const empty = topics !== null && NAMES.every((name) => (topics[name]?.ranges ?? []).every(({ high }) => high === 0));
  const untouched = Object.values(positions).every((list) => list !== null && list.length === 0);
  const inHand = standingsOf(facts).some(({ stage, position, behind }) =>
    stage === "sink-cold" && position?.isOwned === true && behind !== 0
  );
  const known = `schema ${facts.versions["hot schema"]}`;
  const older = facts.doors.filter(({ door, version }) => door === "hot" && version !== null && version !== known);
  return [
    ...(empty && untouched ? ["nothing recorded yet: deno task pipeline, or deno task simulate, begins"] : []),
    ...(inHand
      ? ["sink-cold is at work and holds a unit in hand: what it is behind is published when the unit closes"]
      : []),
    ...older.map(({ version }) =>
      `hot has ${version} and this program's is ${known}: the next sink-hot brings it there`
    ),
    ...facts.doors.flatMap(({ place, guard }) =>
      guard !== null && (guard.mode & 0o002) !== 0
        ? [`every user of this host may write ${pathIn(place)} (${modeText(guard)}): chmod o-w ${pathIn(place)}`]
        : []
    ),
  ];
}

function doorProblems({ door, place, failure }: DoorFact): Problem[] {
  if (failure === null) return [];
  const mends = {
    log: "start Kafka (deno task services up), or correct --transport",
    hot: "start Postgres (deno task services up), or correct --hot and TAPEDECK_POSTGRES_PASSWORD",
    lake: "make the folder readable, or correct --lake",
  };
  const files = /^(log|sqlite|file):/.test(place)
    ? `${door === "log" ? "start a stage, which cuts off what a power cut left, or " : ""}mend or move what lies at ${
      pathIn(place)
    }`
    : "";
  return [{ problem: "unreachable", place: door, detail: failure, action: files || mends[door] }];
}

/** Only what is certain: a group's leave depends on who is in it. */
function guardProblems({ place, guard }: DoorFact): Problem[] {
  if (guard === null || guard.user === 0) return [];
  const { mode, owner, user } = guard;
  if ((mode & (owner === user ? 0o200 : 0o022)) !== 0) return [];
  const detail = `${modeText(guard)} of user ${owner} lets user ${user} write nothing, must let who runs the stages`;
  const action = `chmod u+w ${pathIn(place)}, or run the stages as user ${owner}`;
  return [{ problem: "permissions", place: pathIn(place), detail, action }];
}

const pathIn = (place: string): string => place.slice(place.indexOf(":") + 1);
const octal = ({ mode }: Guard): string => mode.toString(8).padStart(4, "0");
const modeText = (guard: Guard): string => `mode ${octal(guard)}`;

function topicProblems({ looks: [, { topics }] }: Facts): Problem[] {
  if (topics === null) return [];
  const counts = NAMES.map((name) => topics[name]?.ranges.length ?? 0);
  const count = Math.max(...counts);
  if (count === 0 || counts.every((n) => n === count)) return [];
  const detail = NAMES.map((name, i) => counts[i] === 0 ? `${name} is missing` : `${name} has ${counts[i]}`).join(", ");
  const isWhole = counts.every((n) => n === 0 || n === count);
  const action = isWhole ? `deno task prepare --partitions ${count}` : ANOTHER;
  return [{ problem: isWhole ? "missing topic" : "unequal partitions", place: "log", detail, action }];
}

/** Why the stage's next owner would refuse to resume; null when it would not, or when the log does not tell. */
function placeProblem(
  { stage, topic, partition, position, range }: Standing,
  { looks: [, after] }: Facts,
): Problem | null {
  if (after.topics === null) return null;
  const place = `${stage} ${topic}/${partition}`;
  const identity = after.topics[topic]?.identity ?? null;
  if (position !== null && position.identity !== null && position.identity !== identity) {
    const state = identity === null ? "this log has no such topic" : `this one is "${identity}"`;
    const detail = `fed from log "${position.identity}" and ${state}`;
    const action = `give the --transport that it was fed from, or ${ANOTHER}`;
    return { problem: "another log", place: `${stage} ${topic}`, detail, action };
  }
  if (position !== null && (range === null || position.next > range.high)) {
    const detail = `stands at ${position.next} and the log ends at ${range?.high ?? 0}`;
    return { problem: "beyond the log", place, detail, action: `bring back the log's records, or ${ANOTHER}` };
  }
  const resume = position?.resume ?? 0;
  if (range === null || resume >= range.low) return null;
  const detail = `resumes at ${resume} and the log begins at ${range.low}: ${range.low - resume} records are gone`;
  const action = `deno task ${stage} --accept-gap, which gives them up, or ${ANOTHER}`;
  return { problem: "before the log", place, detail, action };
}

/** One problem a stage, and a process that holds what it does not move, however many partitions wait. */
function waitingProblems(standings: readonly Standing[]): Problem[] {
  const held = standings.filter(({ stuck }) => stuck === "held");
  const holders = new Set(held.map(({ stage, position }) => `${stage} ${position?.pid}`));
  const groups = [
    ...STAGES.map(({ stage }) => standings.filter((each) => each.stage === stage && each.stuck === "left")),
    ...[...holders].map((holder) => held.filter(({ stage, position }) => `${stage} ${position?.pid}` === holder)),
  ];
  return groups.flatMap((stuck): Problem[] => {
    if (stuck.length === 0) return [];
    const { stage, position } = stuck[0]!;
    const [first, ...more] = stuck.map(({ topic, partition }) => `${topic}/${partition}`);
    const places = more.length === 0 ? first : `${first} and ${more.length} more`;
    const records = count(stuck.reduce((sum, { behind }) => sum + (behind ?? 0), 0));
    const waiting = `${records} records wait in ${places}, and`;
    if (stuck[0]!.stuck === "held") {
      const since = position!.since === null ? "" : ` since ${new Date(position!.since).toISOString()}`;
      const pid = position!.pid;
      const detail = `${waiting} ${pid === null ? "a process" : `process ${pid}`} holds them${since} and takes none`;
      // A stage that is started beside it would wait for what it holds.
      const action = `read what it says, it may wait for a door; stopped: kill -CONT ${pid ?? "PID"}; hung: kill -9 ${
        pid ?? "PID"
      }, then deno task ${stage}`;
      return [{ problem: "held", place: stage, detail, action }];
    }
    const begun = stuck.some(({ position }) => position !== null);
    const detail = `${waiting} ${begun ? "nobody takes them" : "nobody ever took one"}`;
    return [{ problem: "stuck", place: stage, detail, action: `deno task ${stage}` }];
  });
}

function roomProblems({ rooms }: Facts, { roomMin }: Bounds): Problem[] {
  return rooms.filter(({ free }) => free < roomMin).map(({ folders, free }) => ({
    ...{ problem: "disk room", place: folders.join(", ") },
    detail: `${gigabytes(free)} are free, must be ${gigabytes(roomMin)} at least`,
    action: "free or add room, or move --data or --lake to another disk",
  }));
}

function skewProblems({ skews }: Facts, { skewMsMax }: Bounds): Problem[] {
  return Object.entries(skews).filter(([, { ms, withinMs }]) => Math.abs(ms) - withinMs > skewMsMax).map((
    [place, { ms }],
  ) => ({
    ...{ problem: "clock", place },
    detail: `it is ${skewText(ms)}, must be within ${skewMsMax} ms`,
    action: "synchronize both hosts with one time server (NTP)",
  }));
}

/** Facts, notes and problems, for a terminal. */
export function healthText(facts: Facts, problems: readonly Problem[]): string {
  const { versions, doors, rooms, skews, looks: [, after] } = facts;
  const topics = NAMES.flatMap((name) => {
    const topic = after.topics?.[name];
    if (!topic) return [];
    const records = topic.ranges.reduce((sum, { low, high }) => sum + high - low, 0);
    return [[name, count(topic.ranges.length), count(records), topic.identity]];
  });
  const places = standingsOf(facts).map(({ stage, topic, partition, position, range, behind }) => [
    stage,
    `${topic}/${partition}`,
    position?.epoch?.toLocaleString("en") ?? "-",
    sinceText(position),
    position?.committed ? new Date(position.committed).toISOString() : "-",
    count(position?.next ?? 0),
    range === null ? "?" : count(range.high),
    behind === null ? "?" : count(behind),
  ]);
  const lines = [
    Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", "),
    "",
    ...laid([["door", "where", "format", "mode", "opens", "answers"], ...doors.map(doorCells)]),
    ...(topics.length === 0 ? [] : ["", ...laid([["topic", "partitions", "records", "identity"], ...topics])]),
    ...(places.length === 0 ? [] : [
      "",
      ...laid([["stage", "place", "epoch", "owner since", "last commit", "next", "end", "behind"], ...places]),
    ]),
    "",
    ...rooms.map(({ folders, free, total }) =>
      `room   ${gigabytes(free)} free of ${gigabytes(total)} under ${folders.join(", ")}`
    ),
    ...Object.entries(skews).map(([door, { ms, withinMs }]) =>
      `clock  ${door} is ${skewText(ms)}, give or take ${withinMs} ms`
    ),
    ...notesOf(facts).map((note) => `note   ${note}`),
    "",
    ...problemsText(problems),
  ];
  return lines.filter((line, i) => line !== "" || lines[i - 1] !== "").map(printable).join("\n");
}

function sinceText(position: Position | null): string {
  const since = position?.since ?? null;
  if (since === null) return "-";
  const { isOwned, pid } = position!;
  const owned = isOwned === null ? "" : !isOwned ? ", left" : pid === null ? ", in hand" : `, in hand of ${pid}`;
  return `${new Date(since).toISOString()}${owned}`;
}

function doorCells({ door, place, failure, isThere, version, guard, openMs, answerMs }: DoorFact): string[] {
  const cells = [door, place, version ?? "-", guard === null ? "-" : octal(guard)];
  if (failure !== null) return [...cells, "-", "unreachable"];
  return isThere ? [...cells, `${openMs} ms`, `${answerMs} ms`] : [...cells, "-", "not there yet"];
}

function problemsText(problems: readonly Problem[]): string[] {
  if (problems.length === 0) return ["healthy: no problem was found"];
  const shown = problems.slice(0, SHOWN).flatMap(({ problem, place, detail, action }) => [
    `  ${problem}: ${place}: ${detail}`,
    `    ▶ ${action}`,
  ]);
  const more = problems.length > SHOWN ? [`  and ${problems.length - SHOWN} more, see --json`] : [];
  return [
    `${problems.length} ${problems.length === 1 ? "problem" : "problems"} (▶ mends it, with the flags given here)`,
    ...shown,
    ...more,
  ];
}

const laid = (rows: readonly (readonly string[])[]): string[] => columns(rows, (name) => WORDS.has(name));

function count(n: number): string {
  return n.toLocaleString("en");
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toLocaleString("en", { maximumFractionDigits: 1 })} GB`;
}

function skewText(ms: number): string {
  return `${Math.abs(ms)} ms ${ms < 0 ? "behind" : "ahead of"} this clock`;
}
