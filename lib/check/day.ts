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
import { type Judged, type Lens, literal, number, type Probe, type Scope, type Subject } from "./kind.ts";
import { plotsOf } from "./plots.ts";
import {
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
import { type Known, stepsOf } from "./relation.ts";
import { type Expectation, kindOf, type Suite } from "./suite.ts";
import type { Ground } from "./run.ts";
import { type Asked, isMeant, isPassed, own, union } from "./asked.ts";
import { countRows, layFiles } from "./beside.ts";

/** Rows of the instruments that are looked at together. */
const PART_ROWS = 1_000_000;
const DAY = 86_400_000_000;

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
  readonly #instruments: readonly Listed[];
  readonly #hours: ReadonlyMap<string, readonly Hours[] | null>;
  readonly #results: Result[] = [];

  private constructor(suite: Suite, ground: Ground, views: Views, date: string) {
    this.#suite = suite;
    this.#ground = ground;
    this.#views = views;
    this.#date = date;
    this.#from = Date.parse(date) * 1_000;
    this.#instruments = instrumentsOf(views, ground.symbol);
    this.#hours = new Map(
      this.#instruments.map(({ venue, symbol }) => [`${venue}:${symbol}`, hoursOf(venue, symbol, this.#from)]),
    );
    layKnown(views, this.#instruments, ground.terms, this.#hours);
  }

  static async open(suite: Suite, ground: Ground, views: Views, date: string): Promise<Day> {
    await lay(views, await ground.files(date));
    const comparing = suite.expectations.some(({ check }) => check === "unequal");
    if (comparing && ground.hot !== undefined) await lay(views, await ground.hot(date), "hot_");
    return new Day(suite, ground, views, date);
  }

  /** How many the date has. */
  get instruments(): number {
    return this.#instruments.length;
  }

  async run(): Promise<readonly Result[]> {
    const asked = this.#asked();
    const totals = new Map<string, Answer>();
    const parts = partsOf(this.#instruments, this.#ground.partRows ?? PART_ROWS);
    for (const [number, part] of parts.entries()) {
      this.#ground.signal.throwIfAborted();
      const kept = keep(this.#views, part);
      const lens = lensOn(this.#views, part, kept, this.#knownOf(part.instruments));
      await this.#look(part, lens, parts.length > 1 ? `-${number}` : "", asked, totals);
      if (this.#ground.draws) this.plots.push(...plotsOf(this.#views, lens, part, this.#date, this.#from));
      release(this.#views, kept);
    }
    const whole = lensOn(this.#views, null, [], this.#knownOf(this.#instruments));
    if (asked.some(({ probe }) => probe.relation === "files")) layFiles(this.#views, this.#ground.ledger!(this.#date));
    for (const one of asked) {
      if (one.probe.relation === "files") await this.#judgeFiles(one, whole);
      else if (one.expectation.per === "table") await this.#judgeTable(one, whole, totals);
    }
    this.#missing();
    for (const expectation of this.#suite.expectations) {
      if (expectation.file !== undefined) await this.#judgeSql(expectation, this.#ground.texts.get(expectation.file)!);
    }
    return this.#results;
  }

  /** Every expectation of every subject that it is asked of. */
  #asked(): readonly Asked[] {
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
    lens: Lens,
    suffix: string,
    asked: readonly Asked[],
    totals: Map<string, Answer>,
  ): Promise<void> {
    const pairing = asked.some(({ probe }) => probe.relation === "paired") &&
      part.instruments.some(({ rows }) => rows.trades !== undefined);
    if (pairing) this.#views.run(`CREATE OR REPLACE TEMP TABLE paired AS ${lens.pairing}`);
    for (const subject of new Set(asked.map(({ subject }) => subject))) {
      const there = part.instruments.filter(({ rows }) => rows[subject] !== undefined);
      if (there.length === 0) continue;
      const mine = asked.filter((one) => one.subject === subject);
      const about = (relation: Probe["relation"]) => mine.filter(({ probe }) => probe.relation === relation);
      const scans: [readonly Asked[], () => string][] = [
        [about("rows"), () => lens.keyed(subject, union(about("rows").map(({ probe }) => probe.needs)))],
        [about("steps"), () => {
          const columns = union(about("steps").map(({ probe }) => probe.steps));
          this.#views.run(`CREATE OR REPLACE TEMP TABLE steps AS ${lens.stepping(subject, columns)}`);
          return stepsOf(columns);
        }],
        [about("prices"), () => lens.values(subject, "prices")],
        [about("sizes"), () => lens.values(subject, "sizes")],
        [about("paired"), () => "SELECT * FROM paired"],
      ];
      for (const [of, relation] of scans) {
        if (of.length === 0) continue;
        const answers = this.#sums(of, subject, relation());
        for (const one of of) {
          if (one.expectation.per === "table") this.#add(one, answers, totals);
          else await this.#judge(one, lens, answers, suffix);
        }
      }
    }
    this.#views.run("DROP TABLE IF EXISTS steps");
    this.#views.run("DROP TABLE IF EXISTS paired");
  }

  /** All sums of some probes over a relation, an answer an instrument. Equal sums are asked for once. */
  #sums(asked: readonly Asked[], subject: Subject, relation: string): readonly Answer[] {
    const names = new Map<string, string>();
    for (const { probe } of asked) {
      for (const sql of Object.values(probe.sums)) if (!names.has(sql)) names.set(sql, `s${names.size}`);
    }
    const columns = [...names].map(([sql, name]) => `${sql} AS ${name}`);
    const rows = this.#views.ask(
      `SELECT ${["inst", ...columns].join(", ")} FROM (${relation}) GROUP BY inst ORDER BY inst`,
    );
    return rows.map((row) => {
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
  #add(one: Asked, answers: readonly Answer[], totals: Map<string, Answer>): void {
    for (const answer of answers) {
      if (!isMeant(one.expectation, String(answer.venue), String(answer.symbol))) continue;
      const key = `${one.prefix}${one.subject}:${answer.venue}`;
      const sums = own(one, answer);
      const before = totals.get(key);
      const after = Object.fromEntries(
        Object.keys(one.probe.sums).map((name) => [name, number(before?.[name]) + number(sums[name])]),
      );
      totals.set(key, { ...after, venue: answer.venue!, symbol: null });
    }
  }

  async #judgeTable(one: Asked, lens: Lens, totals: ReadonlyMap<string, Answer>): Promise<void> {
    const { expectation, subject, probe } = one;
    const start = `${one.prefix}${subject}:`;
    for (const [key, answer] of totals) {
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
