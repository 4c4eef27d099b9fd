/**
 * What answers mean: what passes, what fails, and every failing row in a file.
 *
 * **In** answers of a date, **Out** results. **Knows** `asked`, `beside`, `evidence`, `kind`, `stand`, `parquet`.
 */
import type { Result } from "../check.ts";
import type { Answer, Views } from "../parquet.ts";
import { type Asked, isMeant, isPassed, own } from "./asked.ts";
import { countRows, selectOf } from "./beside.ts";
import { exportRows, type Shelf } from "./evidence.ts";
import { type Judged, type Lens, literal, number, type Probe } from "./kind.ts";
import type { Listed } from "./stand.ts";
import type { Expectation } from "./suite.ts";

/** Of whom a result speaks. */
interface Whose {
  readonly venue: string;
  readonly symbol: string | null;
}

const NAMES = { venue: true, symbol: true } as const;

/** The verdicts on a date. */
export class Verdicts {
  readonly results: Result[] = [];
  /** Sums of expectations of tables, by expectation, subject and venue. */
  readonly totals = new Map<string, Answer>();
  readonly #views: Views;
  readonly #date: string;
  readonly #instruments: readonly Listed[];
  readonly #shelf: Shelf | null;

  /** Failing rows go nowhere where there is no shelf. */
  constructor(views: Views, date: string, instruments: readonly Listed[], shelf: Shelf | null) {
    this.#views = views;
    this.#date = date;
    this.#instruments = instruments;
    this.#shelf = shelf;
  }

  /** Takes over what another found. */
  merge({ results, totals }: Pick<Verdicts, "results" | "totals">): void {
    this.results.push(...results);
    for (const [key, sums] of totals) this.#total(key, sums);
  }

  async judge(one: Asked, lens: Lens, answers: readonly Answer[], suffix: string): Promise<void> {
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
    const evidence = failed.length === 0 || this.#shelf === null ? null : await exportRows(
      this.#views,
      this.#failing(one, lens, failed),
      this.#shelf,
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
  add(one: Asked, answers: readonly Answer[]): void {
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
    const before = this.totals.get(key);
    const after = Object.entries(sums).map(([name, sum]) => {
      return [name, name in NAMES ? sum : number(before?.[name]) + number(sum)];
    });
    this.totals.set(key, Object.fromEntries(after));
  }

  async judgeTable(one: Asked, lens: Lens): Promise<void> {
    const { expectation, subject, probe } = one;
    const start = `${one.prefix}${subject}:`;
    for (const [key, answer] of this.totals) {
      const verdict = key.startsWith(start) ? probe.judge!(answer) : null;
      if (verdict === null) continue;
      const venue = String(answer.venue);
      const failed = this.#instruments.filter((listed) => listed.venue === venue && listed.rows[subject] !== undefined)
        .filter(({ symbol }) => isMeant(expectation, venue, symbol)).map(({ inst, symbol }): Answer => ({
          inst,
          venue,
          symbol,
        }));
      const evidence = isPassed(expectation, verdict) || verdict.failing === 0 || this.#shelf === null
        ? null
        : await exportRows(
          this.#views,
          this.#failing(one, lens, failed),
          this.#shelf,
          `${expectation.name}/${subject}-${this.#date}-${venue}`,
        );
      this.#put(one, { venue, symbol: null }, verdict, evidence);
    }
  }

  async judgeFiles(one: Asked, lens: Lens): Promise<void> {
    const { expectation, subject, probe } = one;
    const sums = Object.entries(probe.sums).map(([name, sql]) => `${sql} AS ${name}`);
    const [answer] = this.#views.ask(`SELECT ${sums.join(", ")} FROM files`);
    const verdict = answer === undefined ? null : probe.judge!(answer);
    if (verdict === null) return;
    const evidence = isPassed(expectation, verdict) || this.#shelf === null || !("select" in probe.failing)
      ? null
      : await exportRows(
        this.#views,
        probe.failing.select(lens),
        this.#shelf,
        `${expectation.name}/${subject}-${this.#date}`,
      );
    this.#put(one, { venue: "*", symbol: null }, verdict, evidence);
  }

  async judgeSql(expectation: Expectation, sql: string): Promise<void> {
    const select = selectOf(sql);
    const failing = countRows(this.#views, select, expectation.file!);
    const verdict: Judged = {
      isSound: failing === 0,
      value: failing,
      observed: `${failing.toLocaleString("en")} rows`,
      failing,
      of: failing,
    };
    const evidence = failing === 0 || this.#shelf === null
      ? null
      : await exportRows(this.#views, select, this.#shelf, `${expectation.name}/${this.#date}`);
    const wanted = `no row from ${expectation.file}`;
    this.#put({ expectation, subject: "sql", probe: { wanted } }, { venue: "*", symbol: null }, verdict, evidence);
  }

  /** Instruments that an expectation names and the date does not have. */
  missing(asked: readonly Asked[]): void {
    for (const one of asked) {
      const { expectation, subject } = one, { check, venue, symbol } = expectation;
      if (check !== "rows" || `${venue}${symbol}`.includes("*")) continue;
      const isThere = this.#instruments.some((listed) =>
        listed.venue === venue && listed.symbol === symbol && listed.rows[subject] !== undefined
      );
      if (isThere) continue;
      const isSound = (expectation as Expectation & { readonly min: number }).min === 0;
      this.#put(one, { venue, symbol }, { isSound, value: 0, observed: "0 rows", failing: 0, of: 0 }, null);
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
    this.results.push({
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
