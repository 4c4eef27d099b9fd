/**
 * What a judge remembers: the limits and instruments in force, and of each instrument that it has seen its watermark and
 * its series. It is all that a checkpoint must keep of them, and its size is bounded.
 *
 * **In** control records and accepted ticks, **Out** the instrument that a tick is about, and the state as JSON values.
 * **Knows** `rule`, `sequence`, `tick`.
 */
import { Buffer } from "node:buffer";
import { z } from "@zod/zod";
import { type Control, INSTRUMENTS_MAX, LIMITS, type Limits, LimitsControl, type Terms, termsOf } from "./rule.ts";
import { type Discipline, type Disciplines, Series, type Tally } from "./sequence.ts";
import { keyOf, type Tick, type TickType, TYPES } from "./tick.ts";

/** Bytes of state that instruments and series may take; what comes later is judged without memory, and counted. */
export const TRACKED_BYTES_MAX = 20 << 20;
/** What a checkpoint needs at most for a subject besides its key, and for a series besides its holes; bytes. */
const SUBJECT_BYTES = 32, SERIES_BYTES = 96;

/** What is remembered of one instrument. */
export interface Subject {
  readonly key: string;
  readonly venue: string;
  readonly symbol: string;
  terms: Terms | null;
  /** Highest event time of its accepted ticks, µs; -1 before the first. */
  watermark: number;
  /** Whether the register keeps it. */
  tracked: boolean;
  readonly disciplines: Readonly<Partial<Record<TickType, Discipline>>>;
  readonly series: Record<TickType, Series | null>;
}

const { control: _, ...limits } = LimitsControl.required().shape;
/** The register as a checkpoint keeps it. */
export const SavedRegister = z.strictObject({
  limits: z.strictObject(limits),
  instruments: z.array(z.tuple([z.string(), z.array(z.tuple([z.string(), z.string(), z.string(), z.boolean()]))])),
  missing: z.int(),
  subjects: z.array(z.tuple([
    z.string(),
    z.int(),
    z.array(z.tuple([z.enum(TYPES), z.array(z.int()).min(5)])),
  ])),
});
export type SavedRegister = Readonly<z.infer<typeof SavedRegister>>;

const NO_DISCIPLINES = {};

/** The memory of one partition's judge. */
export class Register {
  readonly #disciplines: Disciplines;
  readonly #subjects = new Map<string, Subject>();
  /** Per venue and symbol. */
  readonly #terms = new Map<string, ReadonlyMap<string, Terms>>();
  readonly #tally: Tally = { holes: 0, missing: 0 };
  #limits = LIMITS;
  #bytes = 0;

  constructor(disciplines: Disciplines) {
    this.#disciplines = disciplines;
  }

  get limits(): Limits {
    return this.#limits;
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
    subject.series[tick.type] = Series.start(discipline, this.#tally, sequence, at, this.#limits);
    return true;
  }

  /**
   * Brings limits or a venue's instruments into force.
   * @throws {RangeError} when more than {@linkcode INSTRUMENTS_MAX} would be in force
   */
  apply(control: Control): void {
    if (control.control === "limits") {
      for (const { series } of this.#subjects.values()) {
        for (const type of TYPES) series[type]?.narrow(this.#limits);
      }
      const { futureMsMax, lateMsMax, windowMax } = { ...this.#limits, ...control };
      this.#limits = { futureMsMax, lateMsMax, windowMax };
      return;
    }
    const { venue, instruments } = control;
    let count = instruments.length;
    for (const [name, terms] of this.#terms) if (name !== venue) count += terms.size;
    if (count > INSTRUMENTS_MAX) {
      throw new RangeError(`${count} instruments would be in force, must be at most ${INSTRUMENTS_MAX}`);
    }
    const terms = new Map(instruments.map((instrument) => [instrument.symbol, termsOf(instrument)]));
    this.#terms.delete(venue);
    if (terms.size > 0) this.#terms.set(venue, terms);
    for (const subject of this.#subjects.values()) {
      if (subject.venue === venue) subject.terms = terms.get(subject.symbol) ?? null;
    }
  }

  save(): SavedRegister {
    return {
      limits: this.#limits,
      instruments: Array.from(this.#terms, ([venue, terms]) => [
        venue,
        Array.from(terms, ([symbol, { tickSize, lot, negative }]) => [symbol, tickSize.step, lot.step, negative]),
      ]),
      missing: this.#tally.missing,
      subjects: Array.from(this.#subjects.values(), ({ key, watermark, series }) => [
        key,
        watermark,
        TYPES.flatMap((type) => series[type] === null ? [] : [[type, [...series[type].save()]]]),
      ]),
    };
  }

  /** @throws {RangeError} when it holds more than a register may */
  restore(saved: SavedRegister): void {
    for (const [venue, rows] of saved.instruments) {
      const instruments = rows.map(([symbol, tickSize, lot, negative]) => ({ symbol, tickSize, lot, negative }));
      this.apply({ control: "instruments", venue, instruments });
    }
    this.#limits = saved.limits;
    this.#tally.missing = saved.missing;
    for (const [key, watermark, series] of saved.subjects) {
      const colon = key.indexOf(":");
      const subject = this.#fresh(key, key.slice(0, colon), key.slice(colon + 1));
      if (!this.track(subject)) throw new RangeError(`register has more than ${TRACKED_BYTES_MAX} bytes`);
      subject.watermark = watermark;
      for (const [type, numbers] of series) {
        this.#bytes += SERIES_BYTES;
        subject.series[type] = Series.restore(numbers, subject.disciplines[type] ?? "none", this.#tally);
      }
    }
  }

  #fresh(key: string, venue: string, symbol: string): Subject {
    return {
      ...{ key, venue, symbol, terms: this.#terms.get(venue)?.get(symbol) ?? null, watermark: -1, tracked: false },
      disciplines: Object.hasOwn(this.#disciplines, venue) ? this.#disciplines[venue]! : NO_DISCIPLINES,
      series: { trade: null, quote: null, book: null, delta: null, status: null },
    };
  }

  #hasRoom(bytes: number): boolean {
    if (this.#bytes + bytes > TRACKED_BYTES_MAX) return false;
    this.#bytes += bytes;
    return true;
  }
}
