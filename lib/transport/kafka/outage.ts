/**
 * Trying again: what a Kafka error means, and how long to be patient with it.
 *
 * **In** errors of kafkajs and of platformatic, **Out** a pause, or the error that the user is to see.
 * **Knows** `address`, `transport`, `failure`, `world`.
 */
import { Misuse, Outage, reasonOf, Refusal } from "../../failure.ts";
import { partitionOf } from "../../transport.ts";
import type { World } from "../../world.ts";
import type { Address } from "./address.ts";

const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 5_000;

/** What both libraries' errors may carry. */
interface Carried {
  readonly name?: string;
  readonly type?: string;
  readonly code?: string | number;
  readonly apiId?: string;
  readonly cause?: unknown;
  readonly errors?: readonly unknown[];
}

/** The error and all that caused it. */
export function chainOf(error: unknown): readonly (Carried & { readonly message: string })[] {
  if (typeof error !== "object" || error === null) return [];
  const { cause, errors = [] } = error as Carried;
  return [error as Carried & { message: string }, ...[cause, ...errors].flatMap(chainOf)];
}

/** Whether the broker gave this reason, as the protocol spells it: `UNKNOWN_TOPIC_OR_PARTITION`. */
export function isOf(error: unknown, ...types: readonly string[]): boolean {
  return chainOf(error).some(({ type, apiId }) => types.includes(type ?? "") || types.includes(apiId ?? ""));
}

/** Patience with one thing that is tried again and again: pauses of full jitter that grow, until the world's bound. */
export class Patience {
  readonly #what: string;
  readonly #address: Address;
  readonly #world: World;
  #since: number | null = null;
  #attempts = 0;

  /** `what` reads as "append to topic "t""; it follows "Cannot". */
  constructor(what: string, address: Address, world: World) {
    this.#what = what;
    this.#address = address;
    this.#world = world;
  }

  /** It worked. */
  calm(): void {
    this.#since = null;
    this.#attempts = 0;
  }

  /**
   * Waits after a failure; an abort ends the wait.
   * @throws what is not worth another try, named; {Outage} when the bound is reached
   */
  async after(error: unknown, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return;
    const fatal = this.#fatal(error);
    if (fatal !== null) throw fatal;
    const now = this.#world.now();
    this.#since ??= now;
    const reason = reasonOf(chainOf(error).at(-1) ?? error);
    const left = this.#since + this.#world.retryForMs - now;
    if (left <= 0) {
      throw new Outage(
        `Cannot ${this.#what}: Kafka at "${this.#address.name}" does not serve it (${reason}), must be up and reachable`,
        { cause: error },
      );
    }
    if (this.#attempts === 0) this.#world.report(`Kafka at ${this.#address.name}: ${reason}; trying again`);
    const bound = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** this.#attempts++);
    // Chance out of the clock: brokers that many clients lost at once must not be met by all of them at once.
    const jittered = partitionOf(`${this.#address.clientId}/${this.#what}/${now}`, bound);
    await pause(Math.min(left, 1 + jittered), signal);
  }

  #fatal(error: unknown): Error | null {
    if (error instanceof Misuse || error instanceof Refusal || error instanceof Outage) return error;
    const chain = chainOf(error);
    const { name, sasl } = this.#address;
    if (
      isOf(error, "SASL_AUTHENTICATION_FAILED", "ILLEGAL_SASL_STATE", "UNSUPPORTED_SASL_MECHANISM") ||
      chain.some((e) => e.name === "KafkaJSSASLAuthenticationError" || e.code === "PLT_KFK_AUTHENTICATION")
    ) {
      return new Misuse(
        `Cannot log in to Kafka "${name}": user "${
          sasl?.username ?? ""
        }" is refused, must have the right password and mechanism in TAPEDECK_KAFKA_USER, TAPEDECK_KAFKA_PASSWORD and sasl`,
      );
    }
    if (isOf(error, "MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE")) {
      return new Refusal(
        `Cannot ${this.#what}: a message is larger than the topic allows, must fit its max.message.bytes`,
      );
    }
    if (chain.some((e) => String(e.type ?? e.apiId).endsWith("_AUTHORIZATION_FAILED"))) {
      return new Refusal(`Cannot ${this.#what}: ${reasonOf(chain.at(-1))}, must be allowed by the cluster`);
    }
    return chain.some(isKafkas) ? null : error instanceof Error ? error : new Error(String(error));
  }
}

/** Tries until it works. @throws see {@linkcode Patience.after} */
export async function persist<T>(
  what: string,
  address: Address,
  world: World,
  act: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const patience = new Patience(what, address, world);
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await act();
    } catch (error) {
      await patience.after(error, signal);
    }
  }
}

/** Whether a library or the network says this; anything else is a bug of ours. */
function isKafkas({ name, code }: Carried): boolean {
  return (name ?? "").startsWith("KafkaJS") || /^(PLT_KFK_|E[A-Z]+$)/.test(String(code));
}

/** Waits, or until the abort. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
    if (signal?.aborted) done();
  });
}
