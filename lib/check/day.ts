/**
 * One date of a run: its instruments part by part, in this thread and in others; all sums of a subject in few scans, and what
 * they mean.
 *
 * **In** a suite and what it stands on, **Out** results and plots. **Knows** the rooms of `check`, `parquet`, `sequence`,
 * `table`.
 */
import type { Plot, Result } from "../check.ts";
import type { Views } from "../parquet.ts";
import { type Discipline, DISCIPLINES } from "../sequence.ts";
import { TABLE_OF } from "../table.ts";
import { TYPES } from "../tick.ts";
import { type Asked, isMeant, union } from "./asked.ts";
import { layFiles } from "./beside.ts";
import { handOut, type Share } from "./hand.ts";
import { type Lens, type Probe, type Scope, type Subject, SUBJECTS } from "./kind.ts";
import { plotsOf } from "./plots.ts";
import type { Known } from "./relation.ts";
import type { Ground } from "./run.ts";
import {
  type Files,
  type Hours,
  hoursOf,
  instrumentsOf,
  keep,
  knownOf,
  lay,
  layKnown,
  lensOn,
  type Listed,
  type Part,
  partsOf,
  release,
} from "./stand.ts";
import { type Expectation, kindOf, matches, type Suite } from "./suite.ts";
import { Sums } from "./sums.ts";
import { sharesOf, type Unit, unitsOf } from "./units.ts";
import { Verdicts } from "./verdicts.ts";

/** Rows of the instruments that are looked at together. */
const PART_ROWS = 1_000_000;
const DAY = 86_400_000_000;

const rank = ({ table }: Result): number => SUBJECTS.indexOf(table as Subject);
const byText = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0;

/** What was found of some instruments. */
export interface Found extends Pick<Verdicts, "results" | "totals"> {
  readonly plots: readonly Plot[];
}

/** One date of a run. */
export class Day {
  readonly plots: Plot[] = [];
  readonly #suite: Suite;
  readonly #ground: Ground;
  readonly #views: Views;
  readonly #date: string;
  readonly #from: number;
  readonly #files: Files;
  readonly #hot: Files | null;
  readonly #instruments: readonly Listed[];
  readonly #hours: ReadonlyMap<string, readonly Hours[] | null>;
  readonly #asked: readonly Asked[];
  readonly #sums: Sums;
  readonly #verdicts: Verdicts;

  private constructor(
    suite: Suite,
    ground: Ground,
    views: Views,
    date: string,
    { files, hot, instruments }: {
      readonly files: Files;
      readonly hot: Files | null;
      readonly instruments: readonly Listed[];
    },
  ) {
    this.#suite = suite;
    this.#ground = ground;
    this.#views = views;
    this.#date = date;
    this.#from = Date.parse(date) * 1_000;
    this.#files = files;
    this.#hot = hot;
    this.#instruments = instruments;
    this.#hours = new Map(
      this.#instruments.map(({ venue, symbol }) => [`${venue}:${symbol}`, hoursOf(venue, symbol, this.#from)]),
    );
    this.#asked = this.#ask();
    this.#sums = new Sums(views, instruments, this.#partRows);
    this.#verdicts = new Verdicts(views, date, instruments, ground.shelf);
    layKnown(views, this.#instruments, ground.terms, this.#hours);
  }

  /** Opens a date; its instruments are found in the files unless they are known. */
  static async open(
    suite: Suite,
    ground: Ground,
    views: Views,
    date: string,
    known?: readonly Listed[],
  ): Promise<Day> {
    const files = await ground.files(date);
    await lay(views, files);
    const comparing = suite.expectations.some(({ check }) => check === "unequal");
    const hot = comparing && ground.hot !== undefined ? await ground.hot(date) : null;
    if (hot !== null) await lay(views, hot, "hot_");
    return new Day(suite, ground, views, date, {
      files,
      hot,
      instruments: known ?? instrumentsOf(views, ground.symbol),
    });
  }

  get #partRows(): number {
    return this.#ground.partRows ?? PART_ROWS;
  }

  /** How many the date has. */
  get instruments(): number {
    return this.#instruments.length;
  }

  /** Whether an expectation names whom it speaks of and none of them is there, though they might be; once it has run. */
  isUnmet(expectation: Expectation): boolean {
    const { name, venue, symbol } = expectation;
    return `${venue}${symbol}` !== "**" && this.#isExpected(expectation) &&
      !this.#instruments.some((listed) => isMeant(expectation, listed.venue, listed.symbol)) &&
      !this.#verdicts.results.some((result) => result.name === name);
  }

  /** Whether whom an expectation names is asked for, and should be there. */
  #isExpected(expectation: Expectation): boolean {
    const { symbol } = this.#ground;
    return (symbol === null || matches(expectation.symbol, symbol)) && this.isOpen(expectation);
  }

  /** Whether an instrument that is named has a session on the date, as far as is known. */
  isOpen({ venue, symbol }: Expectation): boolean {
    return hoursOf(venue, symbol, this.#from)?.some(({ phase }) => phase === "core") ?? true;
  }

  /** What was found so far. */
  get found(): Found {
    const { results, totals } = this.#verdicts;
    return { results, plots: this.plots, totals };
  }

  /** Runs the suite on the date, in as many threads as the ground allows. */
  async run(): Promise<readonly Result[]> {
    const units = unitsOf(partsOf(this.#instruments, this.#partRows), this.#partRows);
    const [mine = [], ...others] = sharesOf(units, this.#ground.threads ?? 1, this.#partRows);
    const over = new AbortController();
    const signal = AbortSignal.any([this.#ground.signal, over.signal]);
    try {
      // This thread is busy until its own share is done.
      const handed = Promise.all(others.map((units) => handOut(this.#share(units), signal)));
      handed.catch(() => {});
      await this.look(mine);
      for (const found of await handed) {
        this.#verdicts.merge(found);
        this.plots.push(...found.plots);
      }
    } finally {
      over.abort();
    }
    const whole = lensOn(this.#views, null, [], this.#knownOf(this.#instruments));
    if (this.#asked.some(({ probe }) => probe.relation === "files")) {
      layFiles(this.#views, this.#ground.ledger!(this.#date));
    }
    for (const one of this.#asked) {
      if (one.probe.relation === "files") await this.#verdicts.judgeFiles(one, whole);
      else if (one.expectation.per === "table") await this.#verdicts.judgeTable(one, whole);
    }
    this.#verdicts.missing(this.#asked.filter(({ expectation }) => this.#isExpected(expectation)));
    for (const expectation of this.#suite.expectations) {
      if (expectation.file !== undefined) {
        await this.#verdicts.judgeSql(expectation, this.#ground.texts.get(expectation.file)!);
      }
    }
    // Instruments are looked at in whatever order is quickest, and told of by their names.
    return this.#verdicts.results.sort((a, b) => rank(a) - rank(b) || byText(a.symbol ?? "", b.symbol ?? ""));
  }

  /** Looks at some of the units. */
  async look(units: readonly Unit[]): Promise<void> {
    for (const { number, part, subjects } of units) {
      this.#ground.signal.throwIfAborted();
      const kept = keep(this.#views, part, subjects);
      const lens = lensOn(this.#views, part, kept, this.#knownOf(part.instruments));
      await this.#look(part, subjects, lens, number > 0 ? `-${number}` : "");
      // A part is drawn once.
      if (this.#ground.draws && subjects.includes("trades")) {
        this.plots.push(...plotsOf(this.#views, lens, part, this.#date, this.#from));
      }
      release(this.#views, kept);
    }
  }

  #share(units: readonly Unit[]): Share {
    const { files: _files, hot: _hot, ledger, signal: _signal, ...ground } = this.#ground;
    return {
      ...{ suite: this.#suite, date: this.#date, ground, units, instruments: this.#instruments },
      ...{ files: this.#files, hot: this.#hot, hasLedger: ledger !== undefined },
    };
  }

  /** Every expectation of every subject that it is asked of. */
  #ask(): readonly Asked[] {
    return this.#suite.expectations.flatMap((expectation, i) => {
      const kind = kindOf(expectation);
      if (kind === null || (kind.check === "unequal" && this.#ground.hot === undefined)) return [];
      if (kind.stores === "lake" && this.#ground.ledger === undefined) return [];
      return (expectation.tables ?? kind.subjects).flatMap((subject) => {
        const probe = kind.probe(expectation as never, this.#scope(subject));
        return probe === null ? [] : [{ expectation, subject, probe, prefix: `e${i}_` }];
      });
    });
  }

  #knownOf(instruments: readonly Listed[]): Known {
    return knownOf(instruments, this.#ground.terms, this.#hours, this.#from);
  }

  #scope(subject: Subject): Scope {
    const type = TYPES.find((type) => TABLE_OF[type] === (subject === "built" ? "quotes" : subject))!;
    const spans = (venue: string, symbol: string): readonly Hours[] | null =>
      this.#hours.get(`${venue}:${symbol}`) ?? null;
    return {
      subject,
      date: this.#date,
      from: this.#from,
      to: this.#from + DAY,
      limits: this.#ground.limits,
      venuesOf: (...promised: readonly Discipline[]) =>
        Object.entries(DISCIPLINES).filter(([, of]) => promised.includes(of[type] ?? "none")).map(([venue]) => venue),
      hasHours: (venue, symbol) => spans(venue, symbol) !== null,
      hoursOf: (venue, symbol) => (spans(venue, symbol) ?? []).filter(({ phase }) => phase === "core"),
      texts: this.#ground.texts,
    };
  }

  /** Looks at a part of the instruments: a scan a subject, then whatever is suspected. */
  async #look(
    part: Part,
    subjects: readonly Subject[],
    lens: Lens,
    suffix: string,
  ): Promise<void> {
    const asked = this.#asked.filter(({ subject }) => subjects.includes(subject));
    if (asked.some(({ probe }) => probe.relation === "paired")) this.#sums.pair(lens, part);
    for (const subject of new Set(asked.map(({ subject }) => subject))) {
      const there = part.instruments.filter(({ rows }) => rows[subject] !== undefined);
      if (there.length === 0) continue;
      const mine = asked.filter((one) => one.subject === subject);
      const about = (relation: Probe["relation"]) => mine.filter(({ probe }) => probe.relation === relation);
      const scans: [readonly Asked[], () => Iterable<string>][] = [
        [about("rows"), () => [lens.keyed(subject, union(about("rows").map(({ probe }) => probe.needs)))]],
        [
          about("steps"),
          () => this.#sums.steps(lens, part, subject, union(about("steps").map(({ probe }) => probe.steps))),
        ],
        [about("prices"), () => [lens.values(subject, "prices")]],
        [about("sizes"), () => [lens.values(subject, "sizes")]],
        [about("paired"), () => ["SELECT * FROM paired"]],
      ];
      for (const [of, relations] of scans) {
        if (of.length === 0) continue;
        const answers = this.#sums.of(of, subject, relations());
        for (const one of of) {
          if (one.expectation.per === "table") this.#verdicts.add(one, answers);
          else await this.#verdicts.judge(one, lens, answers, suffix);
        }
      }
    }
    this.#views.run("DROP TABLE IF EXISTS steps");
    this.#views.run("DROP TABLE IF EXISTS paired");
  }
}
