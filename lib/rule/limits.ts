/**
 * The limits that rules compare with: what each is, within which bounds it may be set, and what is in force until a
 * control record says otherwise. Where clean data of any recorded venue lies, no default rejects.
 *
 * **Knows** nothing.
 */
import { z } from "@zod/zod";

const ms = (max: number) => z.int().min(0).max(max);
const bps = z.int().min(1).max(1_000_000);
const DAY_MS = 86_400_000;

export const Limits = z.strictObject({
  futureMsMax: ms(DAY_MS).meta({ description: "how far an event may lie ahead of its own receipt, ms" }),
  lateMsMax: ms(DAY_MS).meta({
    description: "how far an event may lie behind the newest of its instrument, and how long a hole waits, ms",
  }),
  windowMax: z.int().min(1).max(16_384).meta({
    description:
      "numbers of a series, or trade ids, that are remembered; a jump beyond it is believed when it is confirmed",
  }),
  oldMsMax: ms(30 * DAY_MS).meta({
    description: "how old an event may be when it is received, beyond what the venue's clock is known to be off, ms",
  }),
  frozenMsMax: ms(DAY_MS).meta({
    description: "event time for which trades may go on outside of a quote that does not change, ms",
  }),
  spreadBpsMax: bps.meta({ description: "how wide a spread may be, hundredths of a percent of its midpoint" }),
  outlierBpsMax: bps.meta({
    description: "how far a price may lie from those before it, hundredths of a percent of what they are",
  }),
});
/** The limits in force for one type of tick of one instrument. */
export type Limits = Readonly<z.infer<typeof Limits>>;

/** In force until a control record says otherwise. */
export const LIMITS: Limits = {
  futureMsMax: 5_000,
  lateMsMax: 1_000,
  windowMax: 1_024,
  oldMsMax: 120_000,
  frozenMsMax: 10_000,
  spreadBpsMax: 1_000,
  outlierBpsMax: 1_000,
};
