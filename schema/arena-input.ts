/** What an arena player's client sends, one frame a tick. */
import { type SchemaType, schema, t } from '@colyseus/schema';

/** Bits of {@link ArenaInput}.buttons. */
export const BUTTONS = { FIRE: 1, ROCKET: 2, DASH: 4 } as const;

export const ArenaInput = schema(
  {
    /** Wanted direction, -127 to 127 an axis; longer than 127 in all counts as 127. */
    moveX: t.int8().default(0),
    moveY: t.int8().default(0),
    /** 1/256 turn. */
    aim: t.uint8().default(0),
    buttons: t.uint8().default(0),
  },
  'ArenaInput',
);
export type ArenaInput = SchemaType<typeof ArenaInput>;
