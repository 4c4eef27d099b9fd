/**
 * What an event is to a book, by each of the disciplines that a venue may declare: pure, of ids alone.
 *
 * **In** where the book stands and the event, **Out** a step. **Knows** `tick`, `venue`.
 */
import type { Delta } from "../tick.ts";
import type { BookDiscipline } from "../venue.ts";

/** `replace`: the event is a snapshot, whatever its type. `gap`: between book and event something is missing. */
export type Step = "apply" | "skip" | "replace" | "gap" | "unnumbered";

/** Where a book stands. */
export interface Place {
  /** Number of the last change in it; null where the venue does not number them. */
  readonly id: number | null;
  /** Whether an event was applied since the snapshot. */
  readonly isLinked: boolean;
}

export interface Rule {
  /** Snapshots are asked for by REST, and events that come before are kept for them. */
  readonly isSpliced: boolean;
  step(place: Place, delta: Delta): Step;
}

const unnumbered: Rule = { isSpliced: false, step: () => "apply" };

/** Null where no book is kept. */
export const RULES: Readonly<Record<BookDiscipline, Rule | null>> = {
  splice: {
    isSpliced: true,
    step({ id }, { firstId, lastId }) {
      if (id === null || firstId === null || lastId === null) return "unnumbered";
      if (lastId <= id) return "skip";
      return firstId > id + 1 ? "gap" : "apply";
    },
  },
  link: {
    isSpliced: true,
    step({ id, isLinked }, { firstId, lastId, previousId }) {
      if (id === null || firstId === null || lastId === null || previousId === null) return "unnumbered";
      // An event that ends at the snapshot's id still names itself to the next one, and changes nothing.
      if (lastId < id || isLinked && lastId === id) return "skip";
      return previousId === id || !isLinked && firstId <= id ? "apply" : "gap";
    },
  },
  chain: {
    isSpliced: false,
    step({ id }, { sequence }) {
      if (sequence === null) return "unnumbered";
      if (sequence === 1) return "replace";
      if (id === null) return "unnumbered";
      // One that falls is none of this book's either: the counter began anew and its first number was missed.
      return sequence === id + 1 ? "apply" : sequence === id ? "skip" : "gap";
    },
  },
  checksum: unnumbered,
  connection: unnumbered,
  trust: unnumbered,
  // Changes are no business of a book that is sent whole.
  whole: { isSpliced: false, step: () => "skip" },
  none: null,
};
