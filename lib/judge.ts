/**
 * Judges a partition's messages one after another: sound ticks, rejected messages, control records. Its verdicts are a
 * function of the log alone: no clock, no chance, and all that it remembers is in its state, which is bounded.
 *
 * **In** records of `ticks.raw` in the order of their offset, **Out** the texts for `ticks.valid` and `ticks.rejected`.
 * **Knows** `rule`, `sequence`, `register`, `reading`, `codec`, `tape`, `tick`, `transport`,
 * `failure`.
 */
import { printable, reasonOf, Refusal } from "./failure.ts";
import { bytesOf } from "./codec.ts";
import { cutOf, DEPTH_MAX, isStorable, outlineOf, parse, rawOf, read, textOf } from "./reading.ts";
import { opened, Saved, type SavedState, type Skipped, STATE_FORMAT, type Written } from "./judge/state.ts";
import { Register, type Subject } from "./register.ts";
import {
  BESIDE_RULES,
  type Draft,
  type Evidence,
  isLive,
  MESSAGE_RULES,
  PLACE_RULES,
  REMEMBERED,
  RULES,
  RULES_VERSION,
  type TickRule,
  weigh,
} from "./rule.ts";
import { Control } from "./rule/control.ts";
import { LIMITS, type Limits } from "./rule/limits.ts";
import { Memory } from "./rule/memory.ts";
import type { Policy } from "./rule/policy.ts";
import { type Arrival, DISCIPLINES, type Disciplines, isIdentified, isRestart, type Place } from "./sequence.ts";
import type { Tape } from "./tape.ts";
import { isSymbol, isVenue, type Rejected, type Tick, type TickType, TYPES } from "./tick.ts";
import { type LogRecord, messageBytesMax, TOPICS } from "./transport.ts";

/** What becomes of a message. `text` is one JSON line for the output's topic; `reasons` are in table order. */
export type Verdict =
  | { readonly to: "valid"; readonly text: string }
  | {
    readonly to: "rejected";
    readonly text: string;
    readonly reason: string;
    readonly reasons: readonly string[];
    readonly severity: Rejected["severity"];
  }
  | { readonly to: "control" };

export interface JudgeOptions {
  readonly partition: number;
  /** The topic that is judged; `ticks.raw` without it. */
  readonly topic?: string;
  readonly disciplines?: Disciplines;
  /** What {@linkcode Judge.state} gave; without it the partition is judged from its first record. */
  readonly state?: string;
  /** Both outputs hold the verdicts on everything before: then rules of another version may go on from the state. */
  readonly drained?: boolean;
  /** The topics that it reads and writes; kept in its state for whoever resumes it. */
  readonly tape?: Tape;
}

/** What a judge has counted since it was made. It is no part of its state. */
export interface Counts {
  valid: number;
  rejected: number;
  control: number;
  /** Accepted ticks whose amounts were not held against a grid, because their instrument is unknown. */
  ungridded: number;
  /** Accepted ticks whose instrument or series finds no room in the state. */
  untracked: number;
  /** Rejected messages that were only quarantined. */
  quarantined: number;
  /** Rejected messages by their first reason, and valid ticks by each of their flags; every rule is there. */
  readonly reasons: Record<string, number>;
  readonly flags: Record<string, number>;
}

/** The bit of each rule, 1 for the first of the table. */
const BITS: ReadonlyMap<string, number> = new Map(RULES.map(({ name }, i) => [name, 1 << i]));
const bitOf = ({ name }: { readonly name: string }): number => BITS.get(name)!;
const [MALFORMED, SHAPE, FUTURE, LATE, OUTLIER] = [
  ...[MESSAGE_RULES.malformed, MESSAGE_RULES.shape],
  ...[{ name: "future" }, { name: "late" }, { name: "outlier" }],
].map(bitOf) as [number, number, number, number, number];
const bitsOf = (names: readonly string[]): number => names.reduce((bits, name) => bits | BITS.get(name)!, 0);
/** What is kept of a redriven tick; and of that, what was said of its place. */
const KEPT = bitsOf(REMEMBERED), PLACES = bitsOf(["duplicate", "backwards", "reordered"]);
/** Rules and their bits, side by side, as they are asked. */
interface Asked {
  readonly rules: readonly TickRule[];
  readonly bits: readonly number[];
}
const asked = (rules: readonly TickRule[]): Asked => ({ rules, bits: rules.map(bitOf) });
/** Of each type those alone that it may break. */
const BESIDE = Object.fromEntries(
  TYPES.map((type) => [type, asked(BESIDE_RULES.filter(({ types }) => types.includes(type)))]),
) as Record<TickType, Asked>;
const PLACED = asked(PLACE_RULES);

const none = (): Record<string, number> => Object.fromEntries(RULES.map(({ name }) => [name, 0]));

/** The judge of one partition. */
export class Judge {
  readonly counts: Counts = {
    ...{ valid: 0, rejected: 0, quarantined: 0, control: 0, ungridded: 0, untracked: 0 },
    ...{ reasons: none(), flags: none() },
  };
  /** The last valid tick that has a time of its venue; null before the first. */
  timed: Tick | null = null;
  /** What the outputs hold, as far as whoever appends to them knows; kept in the state for whoever resumes it. */
  written: { readonly valid: Written; readonly rejected: Written } | undefined;
  /** How far the event of a valid tick lay ahead of its receipt at most, µs; below zero where none did. */
  skewMax = -Infinity;

  readonly #topic: string;
  readonly #partition: number;
  readonly #register: Register;
  readonly #tape: Tape | undefined;
  /** Offset of the control record in force; -1 before the first. */
  #control = -1;
  #lastValid = -1;
  #lastRejected = -1;
  #gaps: readonly Skipped[] = [];
  /** One for all ticks: each is filled anew for each. */
  readonly #arrival: { -readonly [Name in keyof Arrival]: Arrival[Name] } = {
    ...{ sequence: 0, at: 0, isRefused: false, renews: null },
  };
  readonly #evidence: Draft = {
    ...{ tick: undefined as unknown as Tick, terms: null, limits: LIMITS, prices: 0, sizes: 0, spread: 1 },
    ...{ watermark: -1, place: "none", gap: false, bid: NaN, ask: NaN, price: NaN, memory: new Memory(), delay: 0 },
    hours: null,
  };

  /** @throws {Refusal} when the state is another partition's, another version's without `drained`, or none */
  constructor(
    { partition, topic = TOPICS.raw, disciplines = DISCIPLINES, state, drained = false, tape }: JudgeOptions,
  ) {
    this.#topic = topic;
    this.#tape = tape;
    this.#partition = partition;
    this.#register = new Register(disciplines);
    if (state !== undefined) this.#restore(state, drained);
  }

  /** Names the rules in force: version of their code, `@`, offset of the last control record. */
  get rules(): string {
    return this.#control < 0 ? RULES_VERSION : `${RULES_VERSION}@${this.#control}`;
  }
  /** Sequence numbers that were missing when the window closed over them, since the partition's first record. */
  get missing(): number {
    return this.#register.missing;
  }

  /** Everything that the next verdicts depend on, as JSON text. At most `CHECKPOINT_BYTES_MAX`. */
  state(): string {
    const state: SavedState = {
      format: STATE_FORMAT,
      ...{ version: RULES_VERSION, topic: this.#topic, partition: this.#partition },
      control: this.#control,
      ...{ lastValid: this.#lastValid, lastRejected: this.#lastRejected, register: this.#register.save() },
      ...(this.#tape !== undefined && { tape: this.#tape }),
      ...(this.#gaps.length > 0 && { gaps: this.#gaps }),
      ...(this.written !== undefined && { written: this.written }),
    };
    return JSON.stringify(state);
  }

  /**
   * Goes on behind records that the log lost before they were judged, and keeps which. `last` are the last origins that
   * the outputs hold: a judge that fell before it saved has written more than its state tells.
   */
  skip(gap: Skipped, last: { readonly valid: number; readonly rejected: number }): void {
    this.#gaps = [...this.#gaps, gap];
    this.#lastValid = Math.max(this.#lastValid, last.valid);
    this.#lastRejected = Math.max(this.#lastRejected, last.rejected);
  }

  /** The verdict on the next record. @throws {Refusal} when it is a control record that cannot be applied */
  judge(record: LogRecord): Verdict {
    if (record.control === true) return this.#apply(record);
    const text = textOf(record.value);
    if (text === null) return this.#reject(record, MALFORMED, this.#register.policyOfNone, text, undefined);
    const reading = read(text);
    if (reading.tick !== null) return this.#judgeTick(record, text, reading.tick, reading.plain);
    const { value } = reading;
    // A text with half a surrogate pair has no bytes, and cannot have come from a log; no tick holds one.
    if (value === undefined || !text.isWellFormed() || outlineOf(text).depth > DEPTH_MAX) {
      return this.#reject(record, MALFORMED, this.#register.policyOfNone, text, value);
    }
    this.#noteSequence(record, value);
    return this.#reject(record, SHAPE, this.#register.policyOfNone, text, value);
  }

  #judgeTick(record: LogRecord, text: string, tick: Tick, plain: string): Verdict {
    const { type, sequence, eventTime, redriven } = tick;
    const register = this.#register;
    const subject = register.of(record.key, tick);
    const policy = register.policyOf(subject, type);
    const series = sequence === null || redriven !== undefined ? null : subject.series[type];
    const evidence = this.#evidence;
    evidence.tick = tick;
    evidence.terms = register.termsAt(subject, eventTime);
    evidence.limits = policy.limits;
    evidence.hours = policy.hours;
    evidence.watermark = subject.watermark;
    evidence.memory = subject.memory;
    evidence.delay = register.delayOf(subject);
    weigh(evidence);

    if (redriven !== undefined) return this.#judgeAgain(record, text, tick, plain, subject, policy);
    let found = broken(BESIDE[type], evidence) & ~policy.ignores;
    evidence.place = this.#placeOf(subject, tick, (found & policy.refuses) !== 0, policy, record.offset);
    evidence.gap = series !== null && series.owesGap && isLive(tick);
    // Onward without a gap, as nearly all are, there is nothing to ask.
    if (evidence.gap || evidence.place !== "onward" && evidence.place !== "none") {
      found |= broken(PLACED, evidence) & ~policy.ignores;
    }
    if ((found & policy.refuses) !== 0) {
      // Prices that agree elsewhere are where the price is now, also where none of them was let pass.
      if ((found & policy.refuses) === OUTLIER && (found & LATE) === 0) {
        subject.memory.price(evidence.price, policy.limits.outlierBpsMax);
      }
      return this.#reject(record, found, policy, text, tick, evidence.place);
    }

    if (evidence.gap) series!.settleGap();
    this.#remember(subject, tick, found, policy.limits, record.offset);
    return this.#accept(record, tick, plain, found);
  }

  /**
   * A redriven tick, whose evidence is there. What rules that remember said when it first came is not asked again, and its
   * number was taken note of then; where its series had not begun by then, it is placed among its like, as it would have
   * been then.
   */
  #judgeAgain(record: LogRecord, text: string, tick: Tick, plain: string, subject: Subject, policy: Policy): Verdict {
    const { type, sequence, id, eventTime } = tick;
    const { first, broke = [], unplaced = false } = tick.redriven!;
    const register = this.#register;
    const evidence = this.#evidence;
    const past = register.pastOf(subject, offsetOf(first));
    const kept = broke.reduce((bits, name) => bits | (BITS.get(name) ?? 0), 0) & KEPT;
    let found = (broken(BESIDE[type], evidence) | kept) & ~policy.ignores;
    evidence.place = "none";
    evidence.gap = false;
    // What is refused may come once more, and must not find its own number taken.
    if ((found & policy.refuses) === 0 && (kept & PLACES) === 0) {
      const isThere = sequence === null && id !== null && isIdentified(tick.venue, type) && subject.recent?.has(id);
      const place = this.#placeOf(past, tick, false, policy, record.offset);
      if (unplaced) evidence.place = isThere ? "duplicate" : place;
      found |= broken(PLACED, evidence) & ~policy.ignores;
    }
    if ((found & policy.refuses) !== 0) return this.#reject(record, found, policy, text, tick, evidence.place);
    this.#remember(past, tick, found, policy.limits, record.offset);
    register.passed(past, offsetOf(first));
    // The live series has seen its number from now on, and moves no time.
    const series = subject.series[type];
    if (sequence !== null && series !== null) {
      series.place({ sequence, at: eventTime, isRefused: true, renews: null }, policy.limits);
    } else if (sequence !== null && register.track(subject)) {
      register.start(subject, tick, sequence, eventTime);
      // Its numbers may have begun anew since.
      subject.series[type]?.renew();
    } else if (id !== null && isIdentified(tick.venue, type) && register.track(subject)) {
      register.identify(subject, id, policy.limits.windowMax);
    }
    return this.#accept(record, tick, plain, found);
  }

  /** Where the tick stands in its series. */
  #placeOf(subject: Subject, tick: Tick, isRefused: boolean, { limits, hours }: Policy, offset: number): Place {
    const { type, sequence, id, eventTime } = tick;
    if (type === "book" && isRestart(tick)) {
      this.#register.renew(subject, offset);
      return "reset";
    }
    if (sequence === null) {
      const isKnown = id !== null && subject.recent !== null && isIdentified(tick.venue, type) &&
        subject.recent.has(id);
      return isKnown ? "duplicate" : "none";
    }
    const series = subject.series[type];
    if (series === null) return "none";
    if (hours !== null && sequence <= series.highest && hours.isAnother(series.newest, eventTime)) series.renew();
    const arrival = this.#arrival;
    arrival.sequence = sequence;
    arrival.at = eventTime;
    arrival.isRefused = isRefused;
    arrival.renews = isLive(tick) || tick.redriven !== undefined
      ? tick.timeSource === undefined ? "timed" : "untimed"
      : null;
    return series.place(arrival, limits);
  }

  /** What later ticks are held against, of one that is let pass. */
  #remember(subject: Subject, tick: Tick, found: number, limits: Limits, offset: number): void {
    const { type, sequence, id, eventTime } = tick;
    const register = this.#register;
    const { price, bid, ask } = this.#evidence;
    const { memory } = subject;
    // A time that cannot be is no time that others are late after.
    const isDated = tick.timeSource === undefined && (found & FUTURE) === 0;
    if (isDated && eventTime > subject.watermark) subject.watermark = eventTime;
    if (!subject.tracked || sequence !== null && subject.series[type] === null) {
      if (!register.track(subject)) this.counts.untracked++;
      else if (sequence !== null && !register.start(subject, tick, sequence, eventTime)) this.counts.untracked++;
    }
    if (type === "status") {
      memory.status(tick.state, eventTime);
      if (tick.state === "connected") register.renew(subject, offset);
      return;
    }
    if (sequence === null && id !== null && subject.tracked && isIdentified(tick.venue, type)) {
      if (!register.identify(subject, id, limits.windowMax)) this.counts.untracked++;
    }
    if (!isLive(tick) || (found & LATE) !== 0) return;
    if (isDated && subject.tracked) register.see(subject, tick.receivedTime - eventTime);
    if (price > 0) memory.price(price, limits.outlierBpsMax);
    if (type === "trade") memory.trade(price, eventTime);
    else if (type === "quote") memory.quote(bid, ask, eventTime);
  }

  #accept({ offset }: LogRecord, tick: Tick, plain: string, found: number): Verdict {
    const { counts } = this;
    counts.valid++;
    if (this.#evidence.terms === null && tick.type !== "status") counts.ungridded++;
    if (tick.timeSource === undefined) {
      const skew = tick.eventTime - tick.receivedTime;
      if (skew > this.skewMax) this.skewMax = skew;
      this.timed = tick;
    }
    let tail = ',"origin":' + offset + ',"previous":' + this.#lastValid;
    if (found !== 0) {
      const flags = namesOf(found);
      for (const name of flags) counts.flags[name]!++;
      tail += ',"flags":' + JSON.stringify(flags);
    }
    this.#lastValid = offset;
    return { to: "valid", text: plain.slice(0, -1) + tail + "}" };
  }

  #reject(
    record: LogRecord,
    found: number,
    policy: Policy,
    text: string | null,
    value: unknown,
    standing: Place | null = null,
  ): Verdict {
    const { key, offset } = record;
    const refused = found & policy.refuses;
    const reasons = namesOf(refused);
    const reason = reasons[0]!;
    // As severe as the severest of its reasons.
    const severity = (refused & ~policy.quarantines) === 0 ? "quarantine" : "reject";
    this.counts.rejected++;
    if (severity === "quarantine") this.counts.quarantined++;
    this.counts.reasons[reason]!++;
    const rejected: Rejected = {
      ...{ topic: this.#topic, partition: this.#partition, origin: offset, previous: this.#lastRejected },
      key: key === null || isStorable(key) ? key : printable(key),
      ...{ reason, reasons, severity, rules: this.rules },
      ...{ replays: replaysOf(value), standing },
      ...rawOf(text, record.value),
    };
    let message = JSON.stringify(rejected);
    // The log does not take one so large, but a broker may, of a producer that packs it.
    if (message.length > messageBytesMax(TOPICS.rejected)) {
      message = JSON.stringify({ ...rejected, ...cutOf(record.value) });
    }
    this.#lastRejected = offset;
    return { to: "rejected", text: message, reason, reasons, severity };
  }

  /** A message that is no tick has a place in its series all the same, where it says which. */
  #noteSequence({ key }: LogRecord, value: unknown): void {
    // What is redriven had its place when it first came.
    if (!isObject(value) || value.redriven !== undefined) return;
    const { type, venue, symbol, sequence } = value;
    if (!isVenue(venue) || !isSymbol(symbol) || !Number.isSafeInteger(sequence) || sequence as number < 0) return;
    const known = TYPES.find((name) => name === type);
    if (known === undefined) return;
    const subject = this.#register.of(key, { venue, symbol });
    const arrival: Arrival = { sequence: sequence as number, at: -1, isRefused: true, renews: null };
    subject.series[known]?.place(arrival, this.#register.policyOf(subject, known).limits);
  }

  #apply({ offset, value }: LogRecord): Verdict {
    const text = textOf(value);
    const result = Control.safeParse(text === null ? undefined : parse(text));
    try {
      if (!result.success) {
        const issue = result.error.issues[0]!;
        throw new RangeError(`${issue.path.join(".") || "its value"} is not as described: ${issue.message}`);
      }
      this.#register.apply(result.data);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const place = `${this.#topic}/${this.#partition}/${offset}`;
      throw new Refusal(
        `Cannot apply control record "${place}": ${reasonOf(error)}, must be limits, rules or a venue's instruments`,
      );
    }
    this.#control = offset;
    this.counts.control++;
    return { to: "control" };
  }

  #restore(state: string, drained: boolean): void {
    const place = `${this.#topic}/${this.#partition}`;
    let saved;
    try {
      saved = Saved.parse(opened(state));
      this.#register.restore(saved.register, (saved.format ?? 1) < STATE_FORMAT);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw new Refusal(`Cannot resume judge "${place}": its state is damaged, must be what a judge has saved`, {
        cause: error,
      });
    }
    if (saved.topic !== this.#topic || saved.partition !== this.#partition) {
      const owner = printable(`${saved.topic}/${saved.partition}`);
      throw new Refusal(`Cannot resume judge "${place}": its state is that of "${owner}", must be its own`);
    }
    if (saved.version !== RULES_VERSION && !drained) {
      throw new Refusal(
        `Cannot resume judge "${place}": its state is of rules "${
          printable(saved.version)
        }", must be of rules "${RULES_VERSION}" or drained with the program that wrote it`,
      );
    }
    this.#control = saved.control;
    this.#lastValid = saved.lastValid;
    this.#lastRejected = saved.lastRejected;
    this.#gaps = saved.gaps ?? [];
  }
}

/** The bits of the rules that the evidence breaks. */
function broken({ rules, bits }: Asked, evidence: Evidence): number {
  let found = 0;
  for (let i = 0; i < rules.length; i++) if (rules[i]!.test(evidence)) found |= bits[i]!;
  return found;
}

/** The names of the rules of these bits, in table order. */
function namesOf(found: number): string[] {
  return RULES.filter((_, i) => (found & 1 << i) !== 0).map(({ name }) => name);
}

/** The last number of a place. */
const offsetOf = (place: string): number => Number(place.slice(place.lastIndexOf("/") + 1));

/** How often what a message says was redriven. */
function replaysOf(value: unknown): number {
  if (!isObject(value) || value.source !== "redrive") return 0;
  const { redriven } = value;
  return isObject(redriven) && Number.isSafeInteger(redriven.replays) ? Math.max(1, redriven.replays as number) : 1;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/**
 * The verdicts on the lines of a file as the first records of a partition, one JSON line each: what golden files hold.
 * A line that begins with `{"control":` is a control record; no record has a key.
 */
export function verdictsOf(file: Uint8Array): string {
  const judge = new Judge({ partition: 0 });
  const verdicts: string[] = [];
  const bytes = bytesOf(file);
  for (let from = 0, offset = 0; from < bytes.length; offset++) {
    const end = bytes.indexOf(10, from);
    const value = bytes.subarray(from, end < 0 ? bytes.length : end);
    const isControl = value.toString("latin1").startsWith('{"control":');
    const verdict = judge.judge({ offset, key: null, value, ...(isControl ? { control: true } : {}) });
    verdicts.push(
      verdict.to === "control"
        ? JSON.stringify({ to: "control", rules: judge.rules })
        : `{"to":"${verdict.to}","message":${verdict.text}}`,
    );
    from += value.length + 1;
  }
  return verdicts.join("\n") + "\n";
}
