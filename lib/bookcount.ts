/**
 * What became of live books, as metrics and in words.
 *
 * **In** counts of books and comparisons, **Out** metrics, and a line for the user. **Knows** `book`, `meter`.
 */
import { type Comparison, type Counts, FAULTS, OUTCOMES } from "./book.ts";
import type { Tally } from "./meter.ts";

/** Of one venue. */
export class BookCount {
  readonly #venue: string;
  readonly #counts: Readonly<Counts>;
  readonly #tally: Pick<Tally, "add" | "set">;
  readonly #compared: Record<string, number> = {};
  /** What the tally has of the counts. */
  #told = { syncs: 0, crossed: 0, broken: {} as Readonly<Record<string, number>> };

  constructor(venue: string, counts: Readonly<Counts>, tally: Pick<Tally, "add" | "set">) {
    this.#venue = venue;
    this.#counts = counts;
    this.#tally = tally;
  }

  /** Notes what came of comparisons. */
  note(compared: readonly Comparison[]): void {
    for (const { outcome, levels, agreeing } of compared) {
      this.#compared[outcome] = (this.#compared[outcome] ?? 0) + 1;
      this.#tally.add("books_compared_total", 1, this.#venue, outcome);
      if (levels > 0) this.#tally.set("book_agreement_ratio", agreeing / levels, this.#venue);
    }
  }

  /** Hands over what has happened since the last time. */
  count(): void {
    const { syncs, crossed, broken } = this.#counts;
    const told = this.#told;
    const add = (name: Parameters<Tally["add"]>[0], n: number, ...labels: string[]): void => {
      if (n > 0) this.#tally.add(name, n, this.#venue, ...labels);
    };
    add("books_synced_total", syncs - told.syncs);
    add("books_crossed_total", crossed - told.crossed);
    for (const fault of FAULTS) add("books_broken_total", broken[fault] - (told.broken[fault] ?? 0), fault);
    this.#told = { syncs, crossed, broken: { ...broken } };
  }

  /** What came of comparisons; nothing where there were none. */
  get compared(): { readonly compared?: Readonly<Record<string, number>> } {
    return Object.keys(this.#compared).length === 0 ? {} : { compared: { ...this.#compared } };
  }

  /** A line for the user; none where there is nothing to tell. */
  text(): readonly string[] {
    const { crossed, broken, stopped } = this.#counts;
    const total = Object.values(this.#compared).reduce((sum, n) => sum + n, 0);
    const outcomes = OUTCOMES.filter((outcome) => this.#compared[outcome] !== undefined);
    const faults = FAULTS.filter((fault) => broken[fault] > 0);
    const words = [
      ...(total === 0 ? [] : [`${total} compared`, ...outcomes.map((each) => `${each} ${this.#compared[each]}`)]),
      ...(faults.length === 0 ? [] : [`broken by ${faults.map((fault) => `${fault} ${broken[fault]}`).join(", ")}`]),
      ...(crossed === 0 ? [] : [`crossed ${crossed}`]),
      ...(stopped === 0 ? [] : [`${stopped} in sync at the stop`]),
    ];
    return words.length === 0 ? [] : [`books    ${words.join("   ")}`];
  }
}
