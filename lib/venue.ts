/**
 * The door to a venue: what its frames mean. A venue is a pure mapper; it holds no state, knows no clock, and nothing
 * that it is given can make it throw. Residents: one file a company in `venue/`, named as its venues begin: `binance` and
 * `binance-usdm` are in `venue/binance.ts`.
 *
 * **In** a frame as text, **Out** its kind and its ticks, whose fields stand in the order in which they are sent.
 * **Knows** `fields`, `tick`, `decimal` (and `failure`, for a venue that is not there).
 */
import { Misuse } from "./failure.ts";
import type { Tick, TickType } from "./tick.ts";

/**
 * What a type's `sequence` promises: `contiguous` rises by one, a hole is loss; `rising` never falls, holes are normal;
 * `none` promises nothing.
 */
export type Discipline = "contiguous" | "rising" | "none";
export type Disciplines = Readonly<Record<TickType, Discipline>>;

/**
 * How much was traded in a session up to a moment, where a venue tells that instead of each trade; `conflation` makes
 * trades of it.
 */
export interface Volume {
  readonly symbol: string;
  /** Of the last trade, exact decimal text. */
  readonly price: string;
  /** Everything that was traded in the session so far, exact decimal text. */
  readonly total: string;
  /** When the last trade was, µs since the epoch. */
  readonly tradedAt: number;
  /** µs since the epoch, as a tick's. */
  readonly receivedTime: number;
  /** Which session `total` counts: it rises from one to the next, where the total may begin anew. */
  readonly session: number;
}

/** What a frame was. Frames are counted by kind, so that whatever gave no tick is still seen. */
export interface Mapped {
  /** One of the venue's `kinds`. */
  readonly kind: string;
  readonly ticks: readonly Tick[];
  /** What the venue says of its book after each of the ticks, CRC-32, in their order; absent where it says nothing. */
  readonly checksums?: readonly number[];
  /** What it says of the volume of a session, where the venue tells that instead of trades. */
  readonly volumes?: readonly Volume[];
  /**
   * Whose books a malformed frame may have changed: what it said of them is not known. Empty for all of the connection;
   * absent where it said nothing of books, or where the next frame shows what is missing.
   */
  readonly unread?: readonly string[];
  /** The frame's number on its connection, where the venue counts all that it sends there, from 0. */
  readonly number?: number;
}

/**
 * How a book of the venue is begun and kept, and what shows that something is missing: `splice` a snapshot by REST, then
 * changes whose ids leave no hole; `link` the same, but each change names the one before; `chain` a snapshot and changes
 * on the socket, their sequence rising by one, 1 being a snapshot again; `checksum` the same without numbers, but with a
 * checksum after each; `connection` the same, all frames of the connection numbered; `trust` the same, and nothing that
 * could show a loss; `whole` every book is sent whole; `none` where there are no books.
 */
export type BookDiscipline = "splice" | "link" | "chain" | "checksum" | "connection" | "trust" | "whole" | "none";

/** What may be asked of a venue, in our words. */
export const CHANNELS = ["trade", "quote", "book"] as const;
export type Channel = typeof CHANNELS[number];

/** What one connection is asked for. Symbols as the venue writes them. */
export interface Subscription {
  readonly symbols: readonly string[];
  readonly channels: readonly Channel[];
}

/** How a venue is spoken to. All of it is pure: `feed` alone holds sockets, clocks and secrets. */
export interface Live {
  /** Those that it has. */
  readonly channels: readonly Channel[];
  /** The symbol as frames name it, of a venue that is asked in another spelling and understands any. */
  spelled?(symbol: string): string;
  /** Scheme, host and port, `wss://…`; another one may stand in its place. */
  readonly base: string;
  /** The variable that holds the token without which it does not serve; absent where it serves everybody. */
  readonly secret?: string;
  /** What follows the base: path and query, with the token where that is where it goes. What is authorized names its own. */
  path(subscription: Subscription, token: string | undefined): string;
  /** How the venue is asked for the address of each connection, where it names it to those alone whom it knows. */
  readonly authorize?: Authorize;
  /** Set where it takes messages as bytes, their UTF-8, and not as text. */
  readonly takesBytes?: true;
  /** What is sent once connected, in order, each within the venue's limits; `id` is the first request's number. */
  subscribe(subscription: Subscription, id: number): readonly string[];
  /** What ends that again. */
  unsubscribe(subscription: Subscription, id: number): readonly string[];
  /** What a frame answers to a request: `refused` in the venue's own words, of those symbols where it says which. */
  answer(frame: string): Answer | null;
  /** What the client must say, and how often, so that the venue keeps the connection; absent where frames of the socket do. */
  readonly heartbeat?: { readonly message: string; readonly everyMs: number };
  /** Whether a frame says no more than that the connection stands; absent where that is not told apart. */
  isBeat?(frame: string): boolean;
  /** Who may be silent at this time, µs, by the clock and the connection's last beat; absent where nobody ever rests. */
  resting?(time: number, beat: Beat | null): (symbol: string) => boolean;
  /** Whether a frame announces that the venue will soon end this connection; absent where it ends them without a word. */
  isEnding?(frame: string): boolean;
  /** A connection on which nothing at all came for so long is dead, ms. */
  readonly silentMs: number;
  /** After so long the venue closes every connection, ms; absent where it does not. */
  readonly lifetimeMs?: number;
  /** Instruments times channels that one connection may carry. */
  readonly topicsMax: number;
  /** Instruments of these channels that it may carry, where each counts once whatever is asked of it. */
  symbolsMax?(channels: readonly Channel[]): number;
  /** Messages that the client may send in a second. */
  readonly messagesPerSecond: number;
  readonly rest?: Rest;
}

/** Asked by `rest`, with the token as a bearer's. */
export interface Authorize {
  /** Path and query of the question. */
  readonly path: string;
  /** The address that the answer names, good for one connection; null for what names none. */
  address(answer: string): string | null;
}

/** A frame that said no more than that the connection stands, and when it came, µs. */
export interface Beat {
  readonly frame: string;
  readonly receivedTime: number;
}

/** Price and size, as the wire has them. */
export type Level = readonly [price: string, size: string];

/** What a venue answered to a request. */
export interface Answer {
  readonly refused: string | null;
  /** Whom it is about, where it says so; empty where it cannot be told, as of a venue that answers to refuse alone. */
  readonly symbols?: readonly string[];
  /** The number of the request, where it says so; without it answers are taken for those to the oldest requests. */
  readonly id?: number;
}

/** What a venue answers by REST; each gives path and query. Answers are frames as well: `map` knows them. */
export interface Rest {
  /** Scheme, host and port, `https://…`; another one may stand in its place. */
  readonly base: string;
  /** A snapshot of the book, for a discipline that begins with one. */
  snapshot?(symbol: string): string;
  /** Trades from the one with this id on, as many as one answer may have. */
  trades?(symbol: string, fromId: string): string;
  /** All instruments, with their tick sizes, or the page of them that the one before has named. */
  instruments?(next?: string): string;
  /** Requests in a minute. */
  readonly requestsPerMinute: number;
}

/** An instrument as its venue lists it. */
export interface Instrument {
  /** As the venue writes it on its websocket. */
  readonly symbol: string;
  /** Every price is a whole multiple of it: exact decimal text, null where the venue does not say. */
  readonly tickSize: string | null;
  /** Every size is a whole multiple of it: the same. */
  readonly lot: string | null;
  /** `closed` is for good; `halted` is whatever else is not free to trade: not yet, not now, or only to be cancelled. */
  readonly status: "trading" | "halted" | "closed";
}

/** Instruments as one answer lists them. */
export interface InstrumentPage {
  readonly instruments: readonly Instrument[];
  /** Names the page behind it; absent on the last. */
  readonly next?: string;
}

export interface Venue {
  /** The market, as ticks name it. */
  readonly name: string;
  /** Every kind that `map` may answer: a closed set, fit for a metric's label. */
  readonly kinds: readonly string[];
  readonly disciplines: Disciplines;
  readonly books: BookDiscipline;
  /** Depths of book that can be subscribed to, rising, where levels that fall out of one are not said. */
  readonly depths?: readonly number[];
  /** What the venue's checksum of a book is, of its levels as they came, best first; absent where it sends none. */
  checksum?(bids: readonly Level[], asks: readonly Level[]): number;
  /** Absent where it is known by its files alone. */
  readonly live?: Live;
  /**
   * What the frame says; of a venue that speaks bytes, their base64. `receivedTime` is µs since the epoch at its first
   * byte, or null where nobody noted it: then the frame's own time stands in, else its first event's; what has neither
   * gives no tick. `symbol` is the instrument that a REST answer is about, for those that do not say it themselves.
   */
  map(frame: string, receivedTime: number | null, symbol?: string): Mapped;
  /** What an answer to `rest.instruments` lists, but for what has no symbol there; null for what is no such answer. */
  instruments?(answer: string): InstrumentPage | null;
  /** The instrument that the answer to this request is about; undefined where the request names none. */
  symbolOf?(request: string): string | undefined;
}

/** Every venue that there is. */
export const VENUES: readonly string[] = [
  "binance",
  "binance-usdm",
  "bybit",
  "bybit-linear",
  "coinbase",
  "coinbase-advanced",
  "lobster",
  "kraken",
  "finnhub",
  "upstox",
];

/** Opens the resident of this name. @throws {Misuse} for an unknown venue */
export async function openVenue(name: string): Promise<Venue> {
  if (!VENUES.includes(name)) {
    throw new Misuse(`Cannot open venue "${name}": it is unknown, must be one of ${VENUES.join(", ")}`);
  }
  const company = name.split("-", 1)[0]!;
  const resident: { readonly venues: readonly Venue[] } = await import(`./venue/${company}.ts`);
  return resident.venues.find((venue) => venue.name === name)!;
}
