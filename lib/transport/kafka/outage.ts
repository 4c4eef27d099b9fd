/**
 * What a Kafka error means, and whether it may pass.
 *
 * **In** errors of kafkajs and of platformatic, **Out** patience, or the error that the user is to see.
 * **Knows** `address`, `patience`, `failure`, `world`.
 */
import { Misuse, Outage, reasonOf, Refusal } from "../../failure.ts";
import { Patience } from "../../patience.ts";
import type { World } from "../../world.ts";
import type { Address } from "./address.ts";

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

/** Patience with one thing. `what` reads as "append to topic "t""; it follows "Cannot". */
export function patienceWith(what: string, address: Address, world: World): Patience {
  return new Patience("kafka", world, (error) => {
    const fatal = fatalOf(error, what, address);
    if (fatal !== null) return { error: fatal, passes: false };
    const reason = reasonOf(chainOf(error).at(-1) ?? error);
    const outage = new Outage(
      `Cannot ${what}: Kafka at "${address.name}" does not serve it (${reason}), must be up and reachable`,
      { cause: error },
    );
    return { error: outage, passes: true };
  });
}

/** What is not worth another try, named; null where it is. */
function fatalOf(error: unknown, what: string, { name, sasl }: Address): Error | null {
  if (error instanceof Misuse || error instanceof Refusal || error instanceof Outage) return error;
  const chain = chainOf(error);
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
      `Cannot ${what}: a message is larger than the topic allows, must fit its max.message.bytes`,
    );
  }
  if (chain.some((e) => String(e.type ?? e.apiId).endsWith("_AUTHORIZATION_FAILED"))) {
    return new Refusal(`Cannot ${what}: ${reasonOf(chain.at(-1))}, must be allowed by the cluster`);
  }
  return chain.some(isKafkas) ? null : error instanceof Error ? error : new Error(String(error));
}

/** Whether a library or the network says this; anything else is a bug of ours. */
function isKafkas({ name, code }: Carried): boolean {
  return (name ?? "").startsWith("KafkaJS") || /^(PLT_KFK_|E[A-Z]+$)/.test(String(code));
}
