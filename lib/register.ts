/**
 * What a judge remembers: the limits and instruments in force, what was in force before, and of each instrument that it
 * has seen its watermark and its series. It is all that a checkpoint must keep of them, and its size is bounded.
 *
 * **In** control records and accepted ticks, **Out** the instrument that a tick is about, and the state as JSON values.
 * **Knows** `rule`, `sequence`, `tick`.
 */
import { Buffer } from "node:buffer";
import { z } from "@zod/zod";
import { type Control, INSTRUMENTS_MAX, isSameTerms, type Terms, termsOf } from "./rule/control.ts";
import { LIMITS, Limits } from "./rule/limits.ts";
import { type Clock, Memory, SavedMemory, see } from "./rule/memory.ts";
import { ENTRIES_MAX, Entry, Policies, type Policy } from "./rule/policy.ts";
import { type Discipline, type Disciplines, Series, type Tally } from "./sequence.ts";
import { ID_BYTES, Recent } from "./sequence/recent.ts";
import { keyOf, type Tick, type TickType, TYPES } from "./tick.ts";

/** Bytes of state that instruments and series may take; what comes later is judged without memory, and counted. */
export const TRACKED_BYTES_MAX = 20 << 20;
/**
 * Terms that are no longer in force and are remembered; beyond it the instrument that has not changed for longest loses
 * its oldest.
 */
export const ENDED_MAX = 10_000;
/** What a checkpoint needs at most for a subject besides its key, and for a series besides its holes; bytes. */
const SUBJECT_BYTES = 200, SERIES_BYTES = 128;
/** Venues whose clock is known; of more, none is. */
const CLOCKS_MAX = 1_000;

/** Renewals of an instrument that are remembered, and what a checkpoint needs for one at most. */
const RENEWALS_MAX = 16, RENEWAL_BYTES = 17;

/** What is remembered of one instrument. */
export interface Subject {
  readonly key: string;
  readonly venue: string;
  readonly symbol: string;
  /** In force now; of an event before `since` {@linkcode Register.termsAt} knows what was. */
  terms: Terms | null;
  /** µs; Infinity where nothing is in force now and something was. */
  since: number;
  /** Highest event time of its accepted ticks, µs; -1 before the first. */
  watermark: number;
  /** Whether the register keeps it. */
  tracked: boolean;
  readonly disciplines: Readonly<Partial<Record<TickType, Discipline>>>;
  readonly series: Record<TickType, Series | null>;
  /** The last ids of its trades, where they have no numbers. */
  recent: Recent | null;
  memory: Memory;
  /** Its venue's, which all its instruments share; null while it is not known to be there. */
  clock: Clock | null;
  /**
   * The last offsets at which something said that its numbers may begin anew. Of what was redriven the highest offset at
   * which one of them first came.
   */
  renewals: readonly number[];
  /** In force for each type, once that was asked for. */
  readonly policies: Record<TickType, Policy | null>;
}

/** Terms in force for events from `since` on, µs. */
interface Standing {
  readonly terms: Terms;
  readonly since: number;
}
/** Terms that were, for events before `until`. */
interface Ended extends Standing {
  readonly until: number;
}

const SavedEnded = z.tuple([z.string(), z.string(), z.string(), z.boolean(), z.int(), z.int()]);
type SavedEnded = z.infer<typeof SavedEnded>;
/** The register as a checkpoint keeps it. */
export const SavedRegister = z.strictObject({
  /** States before the fourth format have three of them. */
  limits: Limits.partial(),
  /** What the last rules file says; absent before the first. */
  rules: z.array(Entry).max(ENTRIES_MAX).readonly().optional(),
  /** By venue. */
  clocks: z.array(z.tuple([z.string(), z.int()])).max(CLOCKS_MAX).optional(),
  /** Since when they are in force stands behind those that are not for all events. */
  instruments: z.array(
    z.tuple([z.string(), z.array(z.tuple([z.string(), z.string(), z.string(), z.boolean()], z.int()))]),
  ),
  /** Absent while there are none. */
  ended: z.array(SavedEnded).max(ENDED_MAX).optional(),
  missing: z.int(),
  subjects: z.array(z.tuple([
    z.string(),
    z.int(),
    z.array(z.tuple([z.enum(TYPES), z.array(z.int()).min(5)])),
    SavedMemory.optional(),
    z.array(z.int()).optional(),
    z.array(z.int()).max(RENEWALS_MAX).optional(),
  ])),
});
export type SavedRegister = Readonly<z.infer<typeof SavedRegister>>;

const NO_DISCIPLINES = {};
/** With it begin the keys of what was redriven; no venue's name does. */
export const PAST = "~";

/** The memory of one partition's judge. */
export class Register {
  readonly #disciplines: Disciplines;
  readonly #subjects = new Map<string, Subject>();
  /** Per venue and symbol. */
  readonly #terms = new Map<string, ReadonlyMap<string, Standing>>();
  /** By key, oldest first; the key whose terms ended last is the last. */
  readonly #ended = new Map<string, readonly Ended[]>();
  #endedCount = 0;
  readonly #tally: Tally = { holes: 0, missing: 0 };
  readonly #clocks = new Map<string, Clock>();
  #policies = new Policies();
  #policyOfNone: Policy | null = null;
  #bytes = 0;

  constructor(disciplines: Disciplines) {
    this.#disciplines = disciplines;
  }

  /** What is in force for the ticks of a type of an instrument. */
  policyOf(subject: Subject, type: TickType): Policy {
    return subject.policies[type] ??= this.#policies.of(subject.venue, subject.symbol, type);
  }
  /** What is in force for messages that are no tick. */
  get policyOfNone(): Policy {
    return this.#policyOfNone ??= this.#policies.ofNone();
  }
  /** Sequence numbers that were missing when the window closed over them. */
  get missing(): number {
    return this.#tally.missing;
  }

  /** The instrument of a tick, which may be one that is not tracked. `key` is tried first, since it is there already. */
  of(key: string | null, tick: { readonly venue: string; readonly symbol: string }): Subject {
    const { venue, symbol } = tick;
    const known = key === null ? undefined : this.#subjects.get(key);
    if (known !== undefined && known.symbol === symbol && known.venue === venue) return known;
    const own = keyOf(tick);
    return this.#subjects.get(own) ?? this.#fresh(own, venue, symbol);
  }

  /**
   * The same instrument as redriven ticks are placed in it, beside the live ones and in the order in which they first came:
   * those numbers have gone by. `first` is the offset at which this one first came. What began the numbers anew since the
   * one before does so again; where this one came before it, all begin again, as in another run.
   */
  pastOf({ key, venue, symbol, renewals }: Subject, first: number): Subject {
    const past = this.#subjects.get(PAST + key) ?? this.#fresh(PAST + key, venue, symbol);
    if (first < (past.renewals.at(-1) ?? -1)) this.#empty(past);
    const last = past.renewals.at(-1) ?? -1;
    // Of what was before those that are remembered anything may be.
    const isForgotten = renewals.length === RENEWALS_MAX && first < renewals[0]!;
    if (isForgotten || renewals.some((offset) => last < offset && offset < first)) {
      for (const type of TYPES) past.series[type]?.renew();
    }
    return past;
  }

  /** Forgets what was seen of an instrument. */
  #empty(subject: Subject): void {
    for (const type of TYPES) {
      if (subject.series[type] === null) continue;
      subject.series[type].drop();
      subject.series[type] = null;
      this.#bytes -= SERIES_BYTES;
    }
    this.#bytes -= (subject.recent?.size ?? 0) * ID_BYTES;
    subject.recent = null;
    subject.renewals = [];
  }

  /** A redriven tick that first came at this offset has passed. */
  passed(past: Subject, first: number): void {
    past.renewals = [Math.max(first, past.renewals.at(-1) ?? -1)];
  }

  /** The numbers of an instrument may begin anew, from this offset on. */
  renew(subject: Subject, offset: number): void {
    for (const type of TYPES) subject.series[type]?.renew();
    const { key, renewals, tracked } = subject;
    if (!tracked || key.startsWith(PAST) || renewals.length < RENEWALS_MAX && !this.#hasRoom(RENEWAL_BYTES)) return;
    subject.renewals = [...renewals.slice(-RENEWALS_MAX + 1), offset];
  }

  /** What is known to have been in force when the event was, µs. */
  termsAt({ key, terms, since }: Subject, eventTime: number): Terms | null {
    if (eventTime >= since) return terms;
    return this.#ended.get(key)?.findLast((was) => was.since <= eventTime && eventTime < was.until)?.terms ?? null;
  }

  /** Remembers the instrument of an accepted tick from now on. False where there is no room. */
  track(subject: Subject): boolean {
    if (subject.tracked) return true;
    const bytes = SUBJECT_BYTES + Buffer.byteLength(JSON.stringify(subject.key));
    if (!this.#hasRoom(bytes)) return false;
    this.#subjects.set(subject.key, subject);
    subject.tracked = true;
    return true;
  }

  /** Starts the series of an accepted tick, where its venue promises something of its numbers. False where there is no room. */
  start(subject: Subject, tick: Tick, sequence: number, at: number): boolean {
    const discipline = subject.disciplines[tick.type] ?? "none";
    if (discipline === "none") return true;
    if (!this.#hasRoom(SERIES_BYTES)) return false;
    const { limits } = this.policyOf(subject, tick.type);
    subject.series[tick.type] = Series.start(discipline, this.#tally, sequence, at, limits);
    return true;
  }

  /** How long after its event a tick of the instrument's venue is received at least, µs; 0 before the first. */
  delayOf(subject: Subject): number {
    return (subject.clock ??= this.#clocks.get(subject.venue) ?? null)?.delay ?? 0;
  }

  /** Lets the clock of an accepted tick's venue see how long it was on its way, µs. */
  see(subject: Subject, lag: number): void {
    if (subject.clock === null) {
      if (this.#clocks.size >= CLOCKS_MAX) return;
      this.#clocks.set(subject.venue, subject.clock = { delay: lag });
    }
    see(subject.clock, lag);
  }

  /** Remembers the id of an accepted tick. False where there is no room for a first one. */
  identify(subject: Subject, id: string, max: number): boolean {
    const size = subject.recent?.size ?? 0;
    const hasRoom = size >= max || this.#bytes + ID_BYTES <= TRACKED_BYTES_MAX;
    if (size === 0 && !hasRoom) return false;
    const recent = subject.recent ??= new Recent();
    recent.add(id, hasRoom ? max : size);
    this.#bytes += (recent.size - size) * ID_BYTES;
    return true;
  }

  /**
   * Brings limits or a venue's instruments into force.
   * @throws {RangeError} when more than {@linkcode INSTRUMENTS_MAX} would be in force
   */
  apply(control: Control): void {
    if (control.control !== "instruments") {
      const { base, entries } = this.#policies;
      if (control.control === "rules") this.#govern(base, control.rules);
      else {
        const { control: _, ...limits } = control;
        this.#govern({ ...base, ...limits }, entries);
      }
      return;
    }
    const { venue, instruments, since = 0, until = since } = control;
    const before = this.#terms.get(venue) ?? new Map<string, Standing>();
    const now = new Map<string, Standing>();
    for (const instrument of instruments) {
      const terms = termsOf(instrument);
      const was = before.get(instrument.symbol);
      const isKept = was !== undefined && was.since < since && isSameTerms(was.terms, terms);
      now.set(instrument.symbol, isKept ? was : { terms, since });
    }
    this.#put(venue, now);
    this.#cut(venue, until);
    for (const [symbol, was] of before) {
      if (now.get(symbol) !== was && was.since < until) this.#end(keyOf({ venue, symbol }), { ...was, until });
    }
    for (const subject of this.#subjects.values()) {
      if (subject.venue !== venue) continue;
      ({ terms: subject.terms, since: subject.since } = this.#standing(subject.key, venue, subject.symbol));
    }
  }

  /** Brings limits and a rules file into force. */
  #govern(base: Limits, entries: readonly Entry[]): void {
    for (const subject of this.#subjects.values()) {
      for (const type of TYPES) {
        subject.series[type]?.narrow(this.policyOf(subject, type).limits);
        subject.policies[type] = null;
      }
    }
    this.#policies = new Policies(base, entries);
    this.#policyOfNone = null;
  }

  save(): SavedRegister {
    return {
      limits: this.#policies.base,
      ...(this.#policies.entries.length > 0 && { rules: this.#policies.entries }),
      ...(this.#clocks.size > 0 && {
        clocks: Array.from(this.#clocks, ([venue, { delay }]): [string, number] => [venue, delay]),
      }),
      instruments: Array.from(this.#terms, ([venue, terms]) => [
        venue,
        Array.from(terms, ([symbol, { terms: { tickSize, lot, negative }, since }]) => {
          return [symbol, tickSize.step, lot.step, negative, ...(since > 0 ? [since] : [])];
        }),
      ]),
      ...(this.#endedCount > 0 && {
        ended: [...this.#ended].flatMap(([key, versions]) =>
          versions.map(({ terms: { tickSize, lot, negative }, since, until }): SavedEnded => {
            return [key, tickSize.step, lot.step, negative, since, until];
          })
        ),
      }),
      missing: this.#tally.missing,
      subjects: Array.from(this.#subjects.values(), ({ key, watermark, series, memory, recent, renewals }) => {
        const numbers = TYPES.flatMap((type): [TickType, number[]][] => {
          return series[type] === null ? [] : [[type, [...series[type].save()]]];
        });
        const kept = memory.save();
        const ids = recent === null ? [] : [...recent.save()];
        if (renewals.length > 0) return [key, watermark, numbers, kept, ids, [...renewals]];
        if (recent !== null) return [key, watermark, numbers, kept, ids];
        return kept.length === 0 ? [key, watermark, numbers] : [key, watermark, numbers, kept];
      }),
    };
  }

  /**
   * `isOld`: the state is of a format before the fourth.
   * @throws {RangeError} when it holds more than a register may
   */
  restore(saved: SavedRegister, isOld = false): void {
    this.#policies = new Policies({ ...LIMITS, ...saved.limits }, saved.rules ?? []);
    for (const [venue, delay] of saved.clocks ?? []) this.#clocks.set(venue, { delay });
    const terms = (symbol: string, tickSize: string, lot: string, negative: boolean): Terms =>
      termsOf({ symbol, tickSize, lot, negative });
    for (const [venue, rows] of saved.instruments) {
      this.#put(
        venue,
        new Map(rows.map(([symbol, tickSize, lot, negative, since = 0]) => {
          return [symbol, { terms: terms(symbol, tickSize, lot, negative), since }];
        })),
      );
    }
    for (const [key, tickSize, lot, negative, since, until] of saved.ended ?? []) {
      this.#end(key, { terms: terms(key, tickSize, lot, negative), since, until });
    }
    this.#tally.missing = saved.missing;
    for (const [key, watermark, series, memory = [], ids = [], renewals = []] of saved.subjects) {
      const colon = key.indexOf(":");
      const subject = this.#fresh(key, key.slice(key.startsWith(PAST) ? PAST.length : 0, colon), key.slice(colon + 1));
      if (!this.track(subject)) throw new RangeError(`register has more than ${TRACKED_BYTES_MAX} bytes`);
      subject.watermark = watermark;
      for (const [type, numbers] of series) {
        this.#bytes += SERIES_BYTES;
        subject.series[type] = Series.restore(numbers, subject.disciplines[type] ?? "none", this.#tally, isOld);
      }
      subject.memory = Memory.restore(memory);
      subject.renewals = renewals;
      if (!key.startsWith(PAST)) this.#bytes += renewals.length * RENEWAL_BYTES;
      if (ids.length > 0) {
        subject.recent = new Recent(ids);
        this.#bytes += subject.recent.size * ID_BYTES;
      }
    }
  }

  /** @throws {RangeError} when more than {@linkcode INSTRUMENTS_MAX} would be in force */
  #put(venue: string, now: ReadonlyMap<string, Standing>): void {
    let count = now.size;
    for (const [name, terms] of this.#terms) if (name !== venue) count += terms.size;
    if (count > INSTRUMENTS_MAX) {
      throw new RangeError(`${count} instruments would be in force, must be at most ${INSTRUMENTS_MAX}`);
    }
    this.#terms.delete(venue);
    if (now.size > 0) this.#terms.set(venue, now);
  }

  /** A record speaks for events from its time on, so what others have said of the same time counts no longer. */
  #cut(venue: string, until: number): void {
    for (const [key, versions] of this.#ended) {
      if (!key.startsWith(`${venue}:`) || versions.at(-1)!.until <= until) continue;
      const left = versions.filter(({ since }) => since < until)
        .map((was) => ({ ...was, until: Math.min(was.until, until) }));
      this.#endedCount -= versions.length - left.length;
      if (left.length > 0) this.#ended.set(key, left);
      else this.#ended.delete(key);
    }
  }

  #end(key: string, version: Ended): void {
    const versions = this.#ended.get(key) ?? [];
    this.#ended.delete(key);
    this.#ended.set(key, [...versions, version]);
    if (++this.#endedCount <= ENDED_MAX) return;
    const [oldest, [, ...left]] = this.#ended.entries().next().value as [string, readonly Ended[]];
    this.#endedCount--;
    if (left.length > 0) this.#ended.set(oldest, left);
    else this.#ended.delete(oldest);
  }

  /** What an instrument's ticks are held against. */
  #standing(key: string, venue: string, symbol: string): Pick<Subject, "terms" | "since"> {
    return this.#terms.get(venue)?.get(symbol) ?? { terms: null, since: this.#ended.has(key) ? Infinity : 0 };
  }

  #fresh(key: string, venue: string, symbol: string): Subject {
    return {
      ...{ key, venue, symbol, ...this.#standing(key, venue, symbol), watermark: -1, tracked: false },
      disciplines: Object.hasOwn(this.#disciplines, venue) ? this.#disciplines[venue]! : NO_DISCIPLINES,
      series: { trade: null, quote: null, book: null, delta: null, status: null },
      recent: null,
      renewals: [],
      memory: new Memory(),
      clock: null,
      policies: { trade: null, quote: null, book: null, delta: null, status: null },
    };
  }

  #hasRoom(bytes: number): boolean {
    if (this.#bytes + bytes > TRACKED_BYTES_MAX) return false;
    this.#bytes += bytes;
    return true;
  }
}
