/**
 * The door to a venue: what its frames mean. A venue is a pure mapper; it holds no state, knows no clock, and nothing
 * that it is given can make it throw. Residents: `venue/binance`; the venue's name is the file's name.
 *
 * **In** a frame as text, **Out** its kind and its ticks, whose fields stand in the order in which they are sent.
 * **Knows** `tick`, `decimal` (and `failure`, for a venue that is not there).
 */
import { Misuse } from "./failure.ts";
import type { Tick, TickType } from "./tick.ts";

/**
 * What a type's `sequence` promises: `contiguous` rises by one, a hole is loss; `rising` never falls, holes are normal;
 * `none` promises nothing.
 */
export type Discipline = "contiguous" | "rising" | "none";
export type Disciplines = Readonly<Record<TickType, Discipline>>;

/** What a frame was. Frames are counted by kind, so that whatever gave no tick is still seen. */
export interface Mapped {
  /** One of the venue's `kinds`. */
  readonly kind: string;
  readonly ticks: readonly Tick[];
}

export interface Venue {
  /** The market, as ticks name it. */
  readonly name: string;
  /** Every kind that `map` may answer: a closed set, fit for a metric's label. */
  readonly kinds: readonly string[];
  readonly disciplines: Disciplines;
  /**
   * What the frame says. `receivedTime` is µs since the epoch at its first byte, or null where nobody noted it: then the
   * frame's own time stands in, else its first event's; what has neither gives no tick.
   */
  map(frame: string, receivedTime: number | null): Mapped;
}

/** Every venue that has a file. */
export const VENUES: readonly string[] = ["binance"];

/** Opens the resident of this name. @throws {Misuse} for an unknown venue */
export async function openVenue(name: string): Promise<Venue> {
  if (!VENUES.includes(name)) {
    throw new Misuse(`Cannot open venue "${name}": it is unknown, must be one of ${VENUES.join(", ")}`);
  }
  const resident: { readonly venue: Venue } = await import(`./venue/${name}.ts`);
  return resident.venue;
}
