/**
 * How a pretended venue speaks: what a resident of `pretend/` is, and what it is given. A resident is pure: it holds no
 * state, knows no clock, and nothing that a client says can make it throw.
 *
 * **In** what happened and what clients ask, **Out** frames and answers.
 * **Knows** `depth`, `history`, `listing`, `mischief`.
 */
import type { Row, Spelling } from "./depth.ts";
import type { Shown, Trade } from "./history.ts";
import type { Listing } from "./listing.ts";
import type { FrameFault, Stream } from "./mischief.ts";

/** What a client asked to hear. */
export interface Topic {
  /** In the venue's words; two topics of one key are one. */
  readonly key: string;
  readonly symbol: string;
  /** Null for what is acknowledged and stays silent. */
  readonly stream: Stream | null;
  /** Levels of a book; Infinity for all. */
  readonly depth: number;
}

/** An instrument of the pretended venue. */
export interface Instrument {
  readonly symbol: string;
  readonly base: string;
  readonly quote: string;
  readonly listing: Listing;
  /** The book as it is. */
  readonly book: Shown;
  /** The book as streams of changes last told it. */
  readonly told: Shown;
  /** The latest trades, oldest first. */
  readonly trades: readonly Trade[];
  /** All that was traded in the session of the last one, of a venue that has sessions. */
  readonly traded: bigint;
}

/** What a venue may look at when it answers. */
export interface Floor {
  /** µs. */
  readonly time: number;
  readonly instruments: readonly Instrument[];
  instrument(symbol: string): Instrument | undefined;
}

/** A connection, as the one who writes frames to it sees it. */
export interface Line {
  /** From 1. */
  readonly id: number;
  /** What the venue itself noted of it: how its address or a request asked to be spoken to. */
  readonly modes: ReadonlySet<string>;
  readonly topics: ReadonlyMap<string, Topic>;
  /** Frames written to it before, whether they reached it or not. */
  readonly written: number;
}

/** A frame, written when its turn has come. */
export type Saying = (line: Line) => string;

/** What becomes of a connection or a request. */
export interface Answer {
  readonly add?: readonly Topic[];
  readonly drop?: readonly Topic[];
  /** Modes that are put on, and those that are taken off. */
  readonly modes?: Readonly<Record<string, boolean>>;
  readonly says: readonly Saying[];
  /** Set where what is said does not count among the frames of the connection. */
  readonly isUncounted?: true;
}

/** What happened, to be written to whom it concerns. */
export type Happening =
  | { readonly stream: "trade"; readonly trade: Trade; readonly book: Shown }
  | { readonly stream: "quote"; readonly book: Shown }
  | {
    readonly stream: "book";
    readonly before: Shown;
    /** With the first id of all that is told. */
    readonly book: Shown;
    /** What leads from one to the other within a depth. */
    rows(depth: number): readonly Row[];
  };

/** An answer by REST. */
export interface RestAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** How a venue names its address to those alone whom it knows, for one connection. */
export interface Gate {
  /** Where it is asked. */
  readonly path: string;
  /** Names it to who brings this `authorization`; whoever comes there brings the code along. */
  answer(authorization: string | undefined, code: string): RestAnswer;
  codeOf(url: URL): string | null;
}

/** How a venue speaks. Nothing here holds state or throws. */
export interface Speech {
  /** The market, as ticks name it. */
  readonly name: string;
  /** The currency of what is not quoted in another. */
  readonly quote: string;
  symbolOf(base: string, quote: string): string;
  readonly spelling: Spelling;
  /** Whether ids of the book leave holes. */
  readonly hasHoles: boolean;
  /** Depths of streams that number their changes on their own. */
  readonly depths: readonly number[];
  /** Those of `checksum`, `reset` and `shutdown` that it can have. */
  readonly faults: readonly FrameFault[];
  /** Seconds between two pings of the socket; 0 for none. */
  readonly pingSeconds: number;
  /** Set where it speaks bytes and hears nothing else; its frames are their base64. */
  readonly speaksBytes?: true;
  /** Which session a time is in, µs, of a venue that tells what was traded in one so far: its sizes are whole. */
  sessionOf?(time: number): number;
  readonly gate?: Gate;
  /** Answers a connection to this address; undefined where there is none, 401 where the token is missing. */
  connect(url: URL, line: Line, floor: Floor): Answer | 401 | undefined;
  request(message: string, line: Line, floor: Floor): Answer;
  /** The frame that tells this topic what happened; undefined where it hears nothing of it. */
  tell(happening: Happening, topic: Topic, line: Line, floor: Floor): string | undefined;
  /** What is said once a second. */
  beat(line: Line, floor: Floor, beats: number): readonly Saying[];
  /** Answers a request; undefined where there is nothing. */
  rest(url: URL, floor: Floor): RestAnswer | undefined;
  /** Whether a request asks for a book. */
  isBook(url: URL): boolean;
  /** The announcement of an end, and a frame with another checksum: of the faults that it can have. */
  shutdown?(line: Line, time: number): string;
  missum?(frame: string): string;
}

/** What a client sent, as text that may be shown to it again. */
export const shown = (value: unknown): string => typeof value === "string" ? value : JSON.stringify(value) ?? "";
