/**
 * Opening a socket, and why that fails. The runtime tells the status of an upgrade that was refused in the message of an
 * error alone, and never the address, which may hold a secret.
 *
 * **In** an address, **Out** an open socket, or the reason why there is none. **Knows** `failure`.
 */
import { Misuse } from "../failure.ts";
import type { Clock } from "./pace.ts";

/** How long a venue may take to open. */
export const HANDSHAKE_MS = 15_000;

/** A socket that was not opened: the status with which the upgrade was refused, if there was an answer. */
export class Unopened extends Error {
  readonly status: number | null;

  constructor(message: string, status: number | null = null) {
    super(message);
    this.status = status;
  }
}

/**
 * What `take` makes of the socket in the very moment in which it is open, so that no frame is missed; null where the
 * signal fired first.
 * @throws {Unopened} where it does not open
 * @throws {Misuse} where the address is none; it is not shown
 */
export async function openSocket<T>(
  address: string,
  { pause }: Clock,
  signal: AbortSignal,
  take: (socket: WebSocket) => T,
): Promise<T | null> {
  if (signal.aborted) return null;
  const socket = socketOf(address);
  socket.binaryType = "arraybuffer";
  const over = new AbortController();
  let isLate = false;
  void pause(HANDSHAKE_MS, AbortSignal.any([signal, over.signal])).then(() => {
    if (over.signal.aborted) return;
    isLate = !signal.aborted;
    socket.close();
  });
  const opened = Promise.withResolvers<T | null>();
  let failure = new Unopened("it was closed");
  socket.onopen = () => {
    socket.onopen = socket.onerror = socket.onclose = null;
    opened.resolve(take(socket));
  };
  socket.onerror = (event) => {
    const said = event instanceof ErrorEvent ? event.message.replace(/^.*failed to connect to WebSocket: /s, "") : "";
    const status = /^Invalid status code: (\d{3})$/.exec(said)?.[1];
    failure = new Unopened(said, status === undefined ? null : Number(status));
  };
  // Follows every error.
  socket.onclose = () => {
    if (signal.aborted) opened.resolve(null);
    else opened.reject(isLate ? new Unopened(`no answer within ${HANDSHAKE_MS / 1_000} s`) : failure);
  };
  try {
    return await opened.promise;
  } finally {
    over.abort();
  }
}

function socketOf(address: string): WebSocket {
  try {
    return new WebSocket(address);
  } catch (error) {
    // Its message holds the address.
    if (error instanceof DOMException) throw new Misuse("Cannot open socket: its address is none, must be a URL");
    throw error;
  }
}
