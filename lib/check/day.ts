/**
 * One date of a run: its instruments part by part, all sums of a subject in few scans, then the failing rows of what is
 * suspected, and every failing row of what fails into a file.
 *
 * **In** a suite and what it stands on, **Out** results and plots. **Knows** the rooms of `check`, `parquet`, `sequence`,
 * `table`.
 */
import { type Answer, Views } from "../parquet.ts";
import { type Discipline, DISCIPLINES } from "../sequence.ts";
import { TABLE_OF } from "../table.ts";
import { TYPES } from "../tick.ts";
import type { Plot, Result } from "../check.ts";
import { exportRows } from "./evidence.ts";
import {
  type Judged,
  type Lens,
  literal,
  number,
  type Probe,
  type Scope,
  type Span,
  type Subject,
  SUBJECTS,
  WHOLE,
} from "./kind.ts";
import { plotsOf } from "./plots.ts";
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
  rowsIn,
} from "./stand.ts";
import { type Known, stepsOf } from "./relation.ts";
import { type Expectation, kindOf, type Suite } from "./suite.ts";
import type { Ground } from "./run.ts";
import { type Asked, isMeant, isPassed, own, pooled, union } from "./asked.ts";
import { countRows, layFiles } from "./beside.ts";
import { handOut, type Share } from "./hand.ts";
import { sharesOf, type Unit, unitsOf } from "./units.ts";

/** Rows of the instruments that are looked at together. */
const PART_ROWS = 1_000_000;
const DAY = 86_400_000_000;

const NAMES = { venue: true, symbol: true } as const;
const rank = ({ table }: Result): number => SUBJECTS.indexOf(table as Subject);
const byText = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0;

/** What was found of some instruments. */
export interface Found {
  readonly results: readonly Result[];
  readonly plots: readonly Plot[];
  /** Sums that are to be added up. */
  readonly totals: ReadonlyMap<string, Answer>;
}

/** Of whom a result speaks. */
interface Whose {
  readonly venue: string;
  readonly symbol: string | null;
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
  readonly #results: Result[] = [];
  /** Sums of expectations of tables, by expectation, subject and venue. */
  readonly #totals = new Map<string, Answer>();

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

  /** What was found so far. */
  get found(): Found {
    return { results: this.#results, plots: this.plots, totals: this.#totals };
  }

  /** Runs the suite on the date, in as many threads as the ground allows. */
  async run(): Promise<readonly Result[]> {
    const units = unitsOf(partsOf(this.#instruments, this.#partRows), this.#partRows);
    const [mine = [], ...others] = sharesOf(units, this.#ground.threads ?? 1, this.#partRows);
    // This thread is busy until its own share is done.
    const handed = Promise.all(others.map((units) => handOut(this.#share(units), this.#ground.signal)));
    handed.catch(() => {});
    await this.look(mine);
    for (const found of await handed) this.#merge(found);
    const whole = lensOn(this.#views, null, [], this.#knownOf(this.#instruments));
    if (this.#asked.some(({ probe }) => probe.relation === "files")) {
      layFiles(this.#views, this.#ground.ledger!(this.#date));
    }
    for (const one of this.#asked) {
      if (one.probe.relation === "files") await this.#judgeFiles(one, whole);
      else if (one.expectation.per === "table") await this.#judgeTable(one, whole);
    }
    this.#missing();
    for (const expectation of this.#suite.expectations) {
      if (expectation.file !== undefined) await this.#judgeSql(expectation, this.#ground.texts.get(expectation.file)!);
    }
    // Instruments are looked at in whatever order is quickest, and told of by their names.
    return this.#results.sort((a, b) => rank(a) - rank(b) || byText(a.symbol ?? "", b.symbol ?? ""));
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

  #merge({ results, plots, totals }: Found): void {
    this.#results.push(...results);
    this.plots.push(...plots);
    for (const [key, sums] of totals) this.#total(key, sums);
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
    if (asked.some(({ probe }) => probe.relation === "paired")) this.#pair(lens, part);
    for (const subject of new Set(asked.map(({ subject }) => subject))) {
      const there = part.instruments.filter(({ rows }) => rows[subject] !== undefined);
      if (there.length === 0) continue;
      const mine = asked.filter((one) => one.subject === subject);
      const about = (relation: Probe["relation"]) => mine.filter(({ probe }) => probe.relation === relation);
      const scans: [readonly Asked[], () => Iterable<string>][] = [
        [about("rows"), () => [lens.keyed(subject, union(about("rows").map(({ probe }) => probe.needs)))]],
        [about("steps"), () => this.#steps(lens, part, subject, union(about("steps").map(({ probe }) => probe.steps)))],
        [about("prices"), () => [lens.values(subject, "prices")]],
        [about("sizes"), () => [lens.values(subject, "sizes")]],
        [about("paired"), () => ["SELECT * FROM paired"]],
      ];
      for (const [of, relations] of scans) {
        if (of.length === 0) continue;
        const answers = this.#sums(of, subject, relations());
        for (const one of of) {
          if (one.expectation.per === "table") this.#add(one, answers);
          else await this.#judge(one, lens, answers, suffix);
        }
      }
    }
    this.#views.run("DROP TABLE IF EXISTS steps");
    this.#views.run("DROP TABLE IF EXISTS paired");
  }

  /** Keeps the quote in force before each trade of a part. */
  #pair(lens: Lens, part: Part): void {
    if (rowsIn(part, "trades") === 0) return;
    const denser = rowsIn(part, "quotes") > rowsIn(part, "trades") ? "quotes" : "trades";
    for (const [i, span] of this.#spans(lens, part, denser, "time").entries()) {
      const into = i === 0 ? "CREATE OR REPLACE TEMP TABLE paired AS" : "INSERT INTO paired";
      this.#views.run(`${into} ${lens.pairing(span)}`);
    }
  }

  /** Relations of the steps of a subject, each to be asked before the next. */
  *#steps(lens: Lens, part: Part, subject: Subject, columns: readonly string[]): Iterable<string> {
    for (const span of this.#spans(lens, part, subject, "origin")) {
      this.#views.run(`CREATE OR REPLACE TEMP TABLE steps AS ${lens.stepping(subject, columns, span)}`);
      yield stepsOf(columns, span.before !== null);
    }
  }

  /** Spans of a part's rows that are put in order at once: all of them, unless it is one instrument that has many. */
  #spans(lens: Lens, part: Part, subject: Subject, by: "origin" | "time"): readonly Span[] {
    const many = Math.ceil(rowsIn(part, subject) / this.#partRows);
    return many > 1 && part.instruments.length === 1 ? lens.spans(subject, by, many) : [WHOLE];
  }

  /** All sums of some probes over relations that follow each other, an answer an instrument. Equal ones are asked for once. */
  #sums(asked: readonly Asked[], subject: Subject, relations: Iterable<string>): readonly Answer[] {
    const names = new Map<string, string>();
    for (const { probe } of asked) {
      for (const sql of Object.values(probe.sums)) if (!names.has(sql)) names.set(sql, `s${names.size}`);
    }
    const columns = [...names].map(([sql, name]) => `${sql} AS ${name}`);
    const found = new Map<number, Answer>();
    for (const relation of relations) {
      const rows = this.#views.ask(
        `SELECT ${["inst", ...columns].join(", ")} FROM (${relation}) GROUP BY inst ORDER BY inst`,
      );
      for (const row of rows) {
        const inst = number(row.inst), before = found.get(inst);
        found.set(inst, before === undefined ? row : pooled([...names.keys()], before, row));
      }
    }
    return [...found.values()].map((row) => {
      const { inst, venue, symbol, rows } = this.#instruments[number(row.inst)]!;
      const sums = asked.flatMap(({ probe, prefix }) =>
        Object.entries(probe.sums).map(([name, sql]) => [prefix + name, row[names.get(sql)!]!] as const)
      );
      return { inst, venue, symbol, rows: rows[subject] ?? 0, ...Object.fromEntries(sums) };
    });
  }

  async #judge(one: Asked, lens: Lens, answers: readonly Answer[], suffix: string): Promise<void> {
    const { expectation, subject, probe } = one;
    const mine = answers.filter(({ venue, symbol }) => isMeant(expectation, String(venue), String(symbol))).map((
      answer,
    ) => own(one, answer));
    const judged = probe.judge !== undefined
      ? mine.map((answer) => [answer, probe.judge!(answer)] as const)
      : this.#select(one, lens, mine);
    const failed = judged.filter(([, verdict]) =>
      verdict !== null && !isPassed(expectation, verdict) && verdict.failing > 0
    )
      .map(([answer]) => answer);
    const evidence = failed.length === 0 || this.#ground.shelf === null ? null : await exportRows(
      this.#views,
      this.#failing(one, lens, failed),
      this.#ground.shelf,
      `${expectation.name}/${subject}-${this.#date}${suffix}`,
    );
    for (const [answer, verdict] of judged) {
      if (verdict === null) continue;
      this.#put(
        one,
        { venue: String(answer.venue), symbol: String(answer.symbol) },
        verdict,
        failed.includes(answer) ? evidence : null,
      );
    }
  }

  /** Selects and counts the failing rows of the instruments that are suspected. */
  #select(one: Asked, lens: Lens, answers: readonly Answer[]): (readonly [Answer, Judged | null])[] {
    const { probe } = one;
    const suspicions = new Map(answers.map((answer) => [answer, probe.suspects!(answer)]));
    const suspected = answers.filter((answer) => suspicions.get(answer) === true);
    const found = new Map<string, Answer>();
    if (suspected.length > 0) {
      const measure = probe.measure ?? "NULL";
      const rows = this.#views.ask(
        `SELECT venue, symbol, count(*) AS n, ${measure} AS measure FROM (${
          this.#failing(one, lens, suspected)
        }) GROUP BY ALL`,
      );
      for (const row of rows) found.set(`${row.venue}:${row.symbol}`, row);
    }
    return answers.map((answer) => {
      if (suspicions.get(answer) === null) return [answer, null];
      const { n = 0, measure = null } = found.get(`${answer.venue}:${answer.symbol}`) ?? {};
      const failing = number(n), known = { ...answer, measure };
      return [answer, {
        isSound: failing === 0,
        value: probe.value?.(known, failing) ?? failing,
        observed: probe.observed?.(known, failing) ?? failing.toLocaleString("en"),
        failing,
        of: number(answer.rows),
      }];
    });
  }

  /** A SELECT of every failing row of some instruments. */
  #failing({ probe, subject }: Asked, lens: Lens, answers: readonly Answer[]): string {
    const few = lens.among(answers.map(({ inst }) => number(inst)));
    const among = answers.map(({ venue, symbol }) => `(${literal(String(venue))}, ${literal(String(symbol))})`).join(
      ", ",
    );
    const { failing } = probe;
    if ("select" in failing) return `SELECT * FROM (${failing.select(few)}) WHERE (venue, symbol) IN (${among})`;
    const relation = probe.relation === "paired" ? few.paired : few.rows(subject, probe.needs);
    return `SELECT * FROM (${relation}) WHERE (${failing.where}) AND (venue, symbol) IN (${among}) ORDER BY venue, symbol, "partition", origin`;
  }

  /** Adds an expectation's sums up to those of each venue's table. */
  #add(one: Asked, answers: readonly Answer[]): void {
    for (const answer of answers) {
      if (!isMeant(one.expectation, String(answer.venue), String(answer.symbol))) continue;
      const sums = own(one, answer);
      const mine = Object.keys(one.probe.sums).map((name) => [name, sums[name]!] as const);
      this.#total(`${one.prefix}${one.subject}:${answer.venue}`, {
        ...Object.fromEntries(mine),
        venue: answer.venue!,
        symbol: null,
      });
    }
  }

  #total(key: string, sums: Answer): void {
    const before = this.#totals.get(key);
    const after = Object.entries(sums).map(([name, sum]) => {
      return [name, name in NAMES ? sum : number(before?.[name]) + number(sum)];
    });
    this.#totals.set(key, Object.fromEntries(after));
  }

  async #judgeTable(one: Asked, lens: Lens): Promise<void> {
    const { expectation, subject, probe } = one;
    const start = `${one.prefix}${subject}:`;
    for (const [key, answer] of this.#totals) {
      const verdict = key.startsWith(start) ? probe.judge!(answer) : null;
      if (verdict === null) continue;
      const venue = String(answer.venue);
      const failed = this.#instruments.filter((listed) => listed.venue === venue && listed.rows[subject] !== undefined)
        .filter(({ symbol }) => isMeant(expectation, venue, symbol)).map(({ inst, symbol }): Answer => ({
          inst,
          venue,
          symbol,
        }));
      const evidence = isPassed(expectation, verdict) || verdict.failing === 0 || this.#ground.shelf === null
        ? null
        : await exportRows(
          this.#views,
          this.#failing(one, lens, failed),
          this.#ground.shelf,
          `${expectation.name}/${subject}-${this.#date}-${venue}`,
        );
      this.#put(one, { venue, symbol: null }, verdict, evidence);
    }
  }

  async #judgeFiles(one: Asked, lens: Lens): Promise<void> {
    const { expectation, subject, probe } = one;
    const sums = Object.entries(probe.sums).map(([name, sql]) => `${sql} AS ${name}`);
    const [answer] = this.#views.ask(`SELECT ${sums.join(", ")} FROM files`);
    const verdict = answer === undefined ? null : probe.judge!(answer);
    if (verdict === null) return;
    const evidence = isPassed(expectation, verdict) || this.#ground.shelf === null || !("select" in probe.failing)
      ? null
      : await exportRows(
        this.#views,
        probe.failing.select(lens),
        this.#ground.shelf,
        `${expectation.name}/${subject}-${this.#date}`,
      );
    this.#put(one, { venue: "*", symbol: null }, verdict, evidence);
  }

  async #judgeSql(expectation: Expectation, sql: string): Promise<void> {
    // Its last line may be a comment.
    const select = `${sql.trim().replace(/;$/, "")}\n`;
    const failing = countRows(this.#views, select, expectation.file!);
    const verdict: Judged = {
      isSound: failing === 0,
      value: failing,
      observed: `${failing.toLocaleString("en")} rows`,
      failing,
      of: failing,
    };
    const evidence = failing === 0 || this.#ground.shelf === null
      ? null
      : await exportRows(this.#views, select, this.#ground.shelf, `${expectation.name}/${this.#date}`);
    const wanted = `no row from ${expectation.file}`;
    this.#put({ expectation, subject: "sql", probe: { wanted } }, { venue: "*", symbol: null }, verdict, evidence);
  }

  /** Instruments that an expectation names and the date does not have. */
  #missing(): void {
    for (const expectation of this.#suite.expectations) {
      const { check, venue, symbol } = expectation;
      if (check !== "rows" || `${venue}${symbol}`.includes("*")) continue;
      const kind = kindOf(expectation)!;
      for (const subject of expectation.tables ?? kind.subjects) {
        const isThere = this.#instruments.some((listed) =>
          listed.venue === venue && listed.symbol === symbol && listed.rows[subject] !== undefined
        );
        const probe = kind.probe(expectation as never, this.#scope(subject));
        if (isThere || probe === null) continue;
        const min = (expectation as Expectation & { readonly min: number }).min;
        this.#put({ expectation, subject, probe }, { venue, symbol }, {
          isSound: min === 0,
          value: 0,
          observed: "0 rows",
          failing: 0,
          of: 0,
        }, null);
      }
    }
  }

  #put(
    { expectation, subject, probe: { wanted } }: {
      readonly expectation: Expectation;
      readonly subject: string;
      readonly probe: Pick<Probe, "wanted">;
    },
    whose: Whose,
    verdict: Judged,
    evidence: string | null,
  ): void {
    const { name, check, severity } = expectation;
    const { value, observed, failing } = verdict;
    const status = isPassed(expectation, verdict) ? "pass" : "fail";
    const finite = value !== null && Number.isFinite(value) ? value : null;
    this.#results.push({
      name,
      check,
      severity,
      status,
      ...whose,
      table: subject,
      date: this.#date,
      value: finite,
      observed,
      wanted,
      failing,
      evidence,
    });
  }
}
