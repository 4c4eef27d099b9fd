/**
 * The address of a venue that names it to those alone whom it knows: asked by REST with the token, before each connection,
 * since its code is good for one. Neither the token nor the address is ever shown.
 *
 * **In** a question and a token, **Out** the address, or why there is none. **Knows** `venue`, `failure`.
 */
import { printable, reasonOf } from "../failure.ts";
import type { Authorize } from "../venue.ts";
import { HANDSHAKE_MS, Unopened } from "./handshake.ts";
import type { Clock } from "./pace.ts";

/** Bytes of an answer, and characters of an address. */
const ANSWER_BYTES_MAX = 64 << 10, ADDRESS_LENGTH_MAX = 4_096;
/** Characters of a stranger's word that are shown. */
const SHOWN_MAX = 128;
/** Characters that a code or a token has at least: what is shorter is found in words that tell nothing of it. */
export const CODE_LENGTH_MIN = 8;

/** How the address is asked for. */
export interface Authorizing {
  readonly authorize: Authorize;
  /** Scheme, host and port of REST. */
  readonly rest: string;
  /** Scheme, host and port of the websocket. */
  readonly base: string;
  /** Whether that is another one than the venue's own: it then stands in the place of the one that is named. */
  readonly isOther: boolean;
  readonly token: string;
}

/** An address that was not had: what REST does instead, and what it must do. */
export class Unauthorized extends Unopened {
  readonly wanted: string;
  /** ms that it asks to wait. */
  readonly retryAfterMs: number;

  constructor(state: string, wanted = "name an address", status: number | null = null, retryAfterMs = 0) {
    super(state, status);
    this.wanted = wanted;
    this.retryAfterMs = retryAfterMs;
  }
}

/** An address that is good for one connection; null where the signal fired first. @throws {Unauthorized} where there is none */
export async function authorized(
  { authorize, rest, base, isOther, token }: Authorizing,
  { now, pause }: Clock,
  signal: AbortSignal,
): Promise<string | null> {
  const over = new AbortController();
  const late = new AbortController();
  void pause(HANDSHAKE_MS, AbortSignal.any([signal, over.signal])).then(() => late.abort());
  try {
    const headers = { accept: "application/json", authorization: `Bearer ${token}` };
    const response = await fetch(rest + authorize.path, { headers, redirect: "manual", signal: late.signal });
    const text = await textOf(response);
    if (response.status !== 200) {
      const { status } = response;
      throw new Unauthorized(`answers ${status}`, undefined, status, retryAfterMs(response, now()));
    }
    const address = text === null ? null : authorize.address(text);
    return placed(address, base, isOther);
  } catch (error) {
    if (signal.aborted) return null;
    if (error instanceof Unauthorized) throw error;
    const reason = late.signal.aborted ? `no answer within ${HANDSHAKE_MS / 1_000} s` : reasonOf(error);
    throw new Unauthorized(`cannot be reached (${reason})`, "be reachable");
  } finally {
    over.abort();
  }
}

/** `text` without what the address is asked to prove: what is shorter than any code is none. */
export function concealed(text: string, address: string): string {
  const codes = [...new URL(address).searchParams.values()].filter(({ length }) => length >= CODE_LENGTH_MIN);
  return codes.reduce((shown, code) => shown.replaceAll(code, "***"), text);
}

/** The address that was named, at the base. @throws {Unauthorized} where it is none, or lies elsewhere */
function placed(address: string | null, base: string, isOther: boolean): string {
  const url = address === null || address.length > ADDRESS_LENGTH_MAX ? null : URL.parse(address);
  if (url === null || url.username !== "" || url.password !== "") throw new Unauthorized("names no address");
  const { protocol, origin } = url;
  const isSafe = protocol === "wss:" || protocol === "ws:" && isOther && isLoopback(base);
  // The code in it opens what the token opens: it is brought to nobody else.
  if (!isSafe || !isOther && origin !== new URL(base).origin) {
    const shown = printable(`${protocol}//${url.host}`.slice(0, SHOWN_MAX));
    throw new Unauthorized(`names an address at "${shown}"`, `name one at ${isOther ? "wss://" : base}`);
  }
  return base + url.pathname + url.search;
}

function isLoopback(base: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(new URL(base).hostname);
}

/** Seconds, or a date; 0 where it says nothing. */
function retryAfterMs({ headers }: Response, now: number): number {
  const said = headers.get("retry-after") ?? "";
  const ms = /^\d{1,9}$/.test(said) ? Number(said) * 1_000 : Date.parse(said) - now / 1_000;
  return ms > 0 ? Math.ceil(ms) : 0;
}

/** The answer's text; null where it is longer than any that names an address. */
async function textOf({ body }: Response): Promise<string | null> {
  const decoder = new TextDecoder();
  let [text, bytes] = ["", 0];
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) return null;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
