/**
 * Judges every raw message: sound ticks go one way, unsound ones the other, with every rule that they broke. Verdicts are
 * a function of the log alone: memory and offset are kept together, and what is written twice is the same twice.
 *
 * **In** `ticks.raw`, **Out** `ticks.valid`, `ticks.rejected`.
 * **Knows** `judge`, `rule`, `circuit`, `tape`, `stage`, `crew`.
 */
import { Circuit, floodText, isFlood } from "../lib/circuit.ts";
import { start } from "../lib/crew.ts";
import { Fenced, reasonOf, Refusal } from "../lib/failure.ts";
import { type Counts, Judge } from "../lib/judge.ts";
import type { Written } from "../lib/judge/state.ts";
import type { Tally } from "../lib/meter.ts";
import { RULES, RULES_VERSION } from "../lib/rule.ts";
import { defineStage } from "../lib/stage.ts";
import { assertSame, type Tape } from "../lib/tape.ts";
import { type Batch, type LogRecord, type Message, type Range, TOPICS, type Transport } from "../lib/transport.ts";

/** A partition in hand. */
interface Seat {
  readonly judge: Judge;
  readonly epoch: number;
  /** What the outputs hold, as far as it is known. */
  readonly written: { valid: Written; rejected: Written };
  /** The outputs in flight: one append a partition and topic at a time keeps origins rising. */
  sent: Promise<unknown>;
  next: number;
  unsaved: number;
  /** What was judged and not sent yet. */
  verdicts: Verdicts | null;
  /** Null where nobody wants it to open. */
  readonly circuit: Circuit | null;
}

/** A partition where too much was rejected, as it is kept besides the checkpoint: no verdict depends on it. */
interface Opened {
  readonly judged: number;
  readonly rejected: number;
  readonly text: string;
}
/** Who keeps it. */
const CIRCUIT = "validate-circuit";

const stage = defineStage({
  name: "validate",
  does: "judges each tick: sound ones pass, unsound ones are set aside with every reason",
  reads: [TOPICS.raw],
  writes: [TOPICS.valid, TOPICS.rejected],
  needs: [],
  flags: {
    "checkpoint-every": {
      kind: "count",
      default: 200_000,
      unit: "records",
      does: "records of a partition between two checkpoints",
    },
    "accept-gap": {
      kind: "switch",
      does: "gives up what the log lost before it was judged, records which, and goes on",
    },
    "reject-share-max": {
      ...{ kind: "amount", default: 0.5, max: 1 },
      does: "opens the circuit when more of a partition's window is rejected: it stops, with exit 4",
    },
    "reject-window": { kind: "count", default: 10_000, min: 100, unit: "messages", does: "judged in a window" },
    circuit: { kind: "choice", of: ["on", "off"], default: "on", does: "off judges on whatever is rejected" },
  },
  examples: ["deno task validate --once", "deno task validate --transport kafka://localhost:9092"],
  async run({ receive, send, ranges, log, tape, meanwhile, tally, values, world }) {
    const seats = new Map<number, Seat>();
    tally.set("circuit_open", 0, "validate");
    refuseUnequal(tape);
    await refuseOther(tape, log);
    const totals = { rules: new Map<string, number>(), quarantined: 0, ungridded: 0, untracked: 0, skewMax: 0 };
    /** Puts a seat down, with what its judge has counted. */
    const leave = (partition: number): void => {
      const judge = seats.get(partition)?.judge;
      seats.delete(partition);
      if (judge === undefined) return;
      const { reasons, flags } = judge.counts;
      for (const { name } of RULES) {
        totals.rules.set(name, (totals.rules.get(name) ?? 0) + reasons[name]! + flags[name]!);
      }
      totals.quarantined += judge.counts.quarantined;
      totals.ungridded += judge.counts.ungridded;
      totals.untracked += judge.counts.untracked;
      totals.skewMax = Math.max(totals.skewMax, judge.skewMax);
    };
    const shareMax = values.circuit === "off" ? null : values["reject-share-max"];
    const begin = async (_topic: string, partition: number, range: Range): Promise<number> => {
      // A seat that is taken again without having been left: what it sends comes before what is judged anew.
      await seats.get(partition)?.sent.catch(() => {});
      leave(partition);
      const { epoch, checkpoint } = await log.claim("validate", partition);
      const judged = checkpoint?.nextOffset ?? 0;
      await closeCircuit(log, partition, judged, shareMax);
      const what = `Cannot resume validate on "${TOPICS.raw}/${partition}"`;
      if (judged > range.high) {
        throw new Refusal(`${what}: judged up to ${judged} but the log ends at ${range.high}, must reach that far`);
      }
      if (judged < range.low && !values["accept-gap"]) {
        throw new Refusal(
          `${what}: records ${judged} to ${
            range.low - 1
          } were deleted before they were judged, must still be in the log, or be given up with deno task validate --accept-gap`,
        );
      }
      const next = Math.max(judged, range.low);
      const state = checkpoint?.state;
      const written = await writtenIn(log, ranges, partition, state);
      if (state === undefined && Math.max(written.valid.end, written.rejected.end) > 0) {
        throw new Refusal(
          `${what}: there are verdicts and no checkpoint that says on which records and by which rules, must be there; drain with the program that wrote them, or begin another tape`,
        );
      }
      const drained = state !== undefined && isDrained(state, written);
      const judge = new Judge({ topic: TOPICS.raw, partition, drained, tape, ...(state !== undefined && { state }) });
      judge.written = written;
      if (judged < next) {
        const last = { valid: written.valid.highest, rejected: written.rejected.highest };
        if (Math.max(last.valid, last.rejected) >= next) {
          throw new Refusal(
            `${what}: the state up to record ${next} is lost and there are verdicts on later ones, which would be judged otherwise; must be before ${next}, or begin another tape`,
          );
        }
        judge.skip({ first: judged, last: next - 1, at: world.now() }, last);
        // Before any verdict that depends on it.
        await log.save("validate", partition, { epoch, nextOffset: next, state: judge.state() });
      }
      // Whoever comes after a first run that fell must know which rules and which topics its verdicts came from.
      const sent = checkpoint === null
        ? log.save("validate", partition, { epoch, nextOffset: next, state: judge.state() })
        : Promise.resolve();
      // It is waited for before the first verdict; who has lost the partition by then is refused there.
      sent.catch(() => {});
      const circuit = shareMax === null ? null : new Circuit(shareMax, values["reject-window"]);
      seats.set(partition, { judge, epoch, written, sent, next, unsaved: 0, verdicts: null, circuit });
      return next;
    };
    const save = async (partition: number, seat: Seat): Promise<void> => {
      await seat.sent;
      await log.sync(TOPICS.valid, partition);
      await log.sync(TOPICS.rejected, partition);
      await log.save("validate", partition, { epoch: seat.epoch, nextOffset: seat.next, state: seat.judge.state() });
      seat.unsaved = 0;
    };
    /** Saves and puts down a seat that is, or may be by now, another's: who takes it judges again what was not saved. */
    const end = async (_topic: string, partition: number): Promise<void> => {
      const seat = seats.get(partition);
      if (seat === undefined) return;
      try {
        await seat.sent;
        if (seat.unsaved > 0) await save(partition, seat);
      } catch (error) {
        if (!(error instanceof Fenced)) throw error;
        world.report(`left ${TOPICS.raw}/${partition} to who has it now: ${reasonOf(error)}`);
      }
      leave(partition);
    };
    /** Sends what was judged, and holds it no longer. */
    const emit = (partition: number, seat: Seat): Promise<void> => {
      const { valid, rejected, before, after } = seat.verdicts!;
      seat.verdicts = null;
      const { written } = seat;
      const sends = [
        ...(valid.length > 0 ? [follow(written.valid, send(TOPICS.valid, partition, valid))] : []),
        ...(rejected.length > 0 ? [follow(written.rejected, send(TOPICS.rejected, partition, rejected))] : []),
      ];
      return Promise.all(sends).then(() => count(tally, before, after));
    };
    for await (const batch of receive({ start: begin, stop: end })) {
      const { partition } = batch;
      const seat = seats.get(partition)!;
      const durable = log.sync(TOPICS.raw, partition, batch.next);
      meanwhile(durable);
      seat.verdicts = judged(batch, seat);
      await seat.sent;
      await durable;
      // The next batch is judged while the outputs of this one are on their way.
      seat.sent = emit(partition, seat);
      meanwhile(seat.sent);
      seat.next = batch.next;
      seat.unsaved += batch.records.length;
      const { timed } = seat.judge;
      if (timed !== null) {
        tally.set("venue_skew_seconds", (timed.eventTime - timed.receivedTime) / 1e6, timed.venue);
      }
      const flood = seat.circuit?.flood ?? null;
      if (seat.unsaved >= values["checkpoint-every"] || flood !== null) await save(partition, seat);
      await batch.ack();
      if (flood === null) continue;
      tally.set("circuit_open", 1, "validate");
      const opened: Opened = { judged: flood.judged, rejected: flood.rejected, text: floodText(flood) };
      await keepCircuit(log, partition, seat.next, opened);
      for (const other of [...seats.keys()]) await end(TOPICS.raw, other);
      throw flooded(partition, opened);
    }
    for (const partition of [...seats.keys()]) await end(TOPICS.raw, partition);
    const rules = RULES.map(({ name }) => [name, totals.rules.get(name) ?? 0] as const);
    return {
      rules: Object.fromEntries(rules.filter(([, n]) => n !== 0)),
      quarantined: totals.quarantined,
      gridNotJudged: totals.ungridded,
      untracked: totals.untracked,
      skewMs: totals.skewMax / 1000,
    };
  },
});

/** Notes that the circuit is open at an offset, or with null that somebody has said that it may go on. */
async function keepCircuit(
  log: Pick<Transport, "claim" | "save">,
  partition: number,
  nextOffset: number,
  opened: Opened | null,
): Promise<void> {
  const { epoch } = await log.claim(CIRCUIT, partition);
  await log.save(CIRCUIT, partition, { epoch, nextOffset, state: JSON.stringify(opened) });
}

/**
 * Closes the circuit where it is open at this offset; `shareMax` is null where nothing is too much.
 * @throws {Refusal} where nobody has said that it may go on
 */
async function closeCircuit(
  log: Pick<Transport, "load" | "claim" | "save">,
  partition: number,
  judged: number,
  shareMax: number | null,
): Promise<void> {
  const kept = await log.load(CIRCUIT, partition);
  const opened: Opened | null = kept === null || kept.nextOffset !== judged ? null : JSON.parse(kept.state);
  if (opened === null) return;
  if (shareMax !== null && isFlood(opened.rejected, opened.judged, shareMax)) throw flooded(partition, opened);
  await keepCircuit(log, partition, judged, null);
}

function flooded(partition: number, { text }: Opened): Refusal {
  return new Refusal(
    `Cannot judge on in "${TOPICS.raw}/${partition}": ${text}, must be looked at (deno task rejects list); go on with --circuit off or a higher --reject-share-max`,
  );
}

/** Notes that an output has grown. What another has put between is looked through by whoever claims the partition next. */
async function follow(
  written: Written,
  sent: Promise<{ readonly first: number; readonly next: number }>,
): Promise<void> {
  const { first, next } = await sent;
  if (first === written.end) written.end = next;
}

/** What a judge has counted. */
interface Counted extends Omit<Counts, "control" | "rejected"> {
  readonly missing: number;
}
const countedBy = ({ counts, missing }: Judge): Counted => ({
  ...counts,
  ...{ reasons: { ...counts.reasons }, flags: { ...counts.flags }, missing },
});

/** Adds what lies between two counts. Those of nothing too, so that every series is there from the first batch on. */
function count(tally: Pick<Tally, "add">, before: Counted, after: Counted): void {
  tally.add("ticks_valid_total", after.valid - before.valid);
  for (const { name, severity } of RULES) {
    const rejected = after.reasons[name]! - before.reasons[name]!, flagged = after.flags[name]! - before.flags[name]!;
    if (severity === "reject" || rejected > 0) tally.add("ticks_invalid_total", rejected, name);
    if (severity === "flag" || flagged > 0) tally.add("ticks_flagged_total", flagged, name);
  }
  tally.add("ticks_quarantined_total", after.quarantined - before.quarantined);
  tally.add("grid_not_judged_total", after.ungridded - before.ungridded);
  tally.add("ticks_untracked_total", after.untracked - before.untracked);
  tally.add("sequence_missing_total", after.missing - before.missing);
}

/** With it begin the ids of producers that redrive. */
const REDRIVEN = "redrive-";

/** The verdicts on a batch, as the messages that say them, and the judge's counts around it. */
interface Verdicts {
  readonly valid: readonly Message[];
  readonly rejected: readonly Message[];
  readonly before: Counted;
  readonly after: Counted;
}

function judged(batch: Batch, { judge, circuit }: Pick<Seat, "judge" | "circuit">): Verdicts {
  const before = countedBy(judge);
  const valid: Message[] = [];
  const rejected: Message[] = [];
  for (const record of batch.records) {
    const verdict = judge.judge(record);
    if (verdict.to === "valid") valid.push({ key: record.key, value: verdict.text });
    else if (verdict.to === "rejected") rejected.push({ key: record.key, value: verdict.text });
    // What is redriven must not stop what is live; redrive has a circuit of its own.
    if (circuit === null || verdict.to === "control" || record.producer?.id.startsWith(REDRIVEN)) continue;
    circuit.note(verdict.to === "rejected" ? verdict.reason : null);
  }
  return { valid, rejected, before, after: countedBy(judge) };
}

type Ranges = (topic: typeof TOPICS.raw | typeof TOPICS.valid | typeof TOPICS.rejected) => Promise<readonly Range[]>;

/** A symbol whose partition changed would leave its sequence state behind. */
function refuseUnequal(tape: Tape): void {
  const [raw, valid, rejected] = [TOPICS.raw, TOPICS.valid, TOPICS.rejected].map((topic) => tape[topic]!.partitions);
  if (raw === valid && raw === rejected) return;
  throw new Refusal(
    `Cannot validate: ${TOPICS.raw}, ${TOPICS.valid} and ${TOPICS.rejected} have ${raw}, ${valid} and ${rejected} partitions, must have the same number: begin another tape, with deno task pipeline --fresh, another --data or another prefix`,
  );
}

/** Any partition's checkpoint tells of all topics; one that was added has none. */
async function refuseOther(tape: Tape, log: Pick<Transport, "load">): Promise<void> {
  for (let partition = 0; partition < tape[TOPICS.raw]!.partitions; partition++) {
    const checkpoint = await log.load("validate", partition);
    if (checkpoint === null) continue;
    const saved: { readonly tape?: Tape } = JSON.parse(checkpoint.state);
    return assertSame("resume validate", saved.tape ?? {}, tape);
  }
}

/**
 * Whether the outputs hold nothing beyond the checkpoint. Other rule code may judge the same record otherwise, so it may
 * only go on from there.
 */
function isDrained(state: string, { valid, rejected }: Record<"valid" | "rejected", Written>): boolean {
  const saved: { version: string; lastValid: number; lastRejected: number } = JSON.parse(state);
  if (saved.version === RULES_VERSION) return true;
  return valid.highest <= saved.lastValid && rejected.highest <= saved.lastRejected;
}

/**
 * What each output holds. The last message may be a zombie's, which repeats what was judged long ago, so all that came
 * since the checkpoint is looked through; a state of an earlier version does not say where that begins.
 */
async function writtenIn(
  log: Pick<Transport, "read">,
  ranges: Ranges,
  partition: number,
  state: string | undefined,
): Promise<{ valid: Written; rejected: Written }> {
  const saved: { readonly written?: Record<"valid" | "rejected", Written> } = JSON.parse(state ?? "{}");
  const look = async (name: "valid" | "rejected"): Promise<Written> => {
    const topic = TOPICS[name];
    const { low, high } = (await ranges(topic))[partition]!;
    const { end, highest } = saved.written?.[name] ?? { end: high - 1, highest: -1 };
    const found = { end: high, highest };
    const from = Math.max(low, end);
    if (from >= high) return found;
    for await (const records of log.read(topic, partition, from, high)) {
      for (const record of records) found.highest = Math.max(found.highest, originOf(record));
    }
    return found;
  };
  const [valid, rejected] = await Promise.all([look("valid"), look("rejected")]);
  return { valid, rejected };
}

/** The origin of a verdict; -1 of what is none, over which the sinks will stop. */
function originOf({ value }: LogRecord): number {
  try {
    const { origin } = JSON.parse(String(value));
    return Number.isSafeInteger(origin) ? origin : -1;
  } catch {
    return -1;
  }
}

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
