/** Entries as bytes: what a journal record and a replay file carry. Pure, shared with the browser. */
import type { ByteReader, ByteWriter } from './bytes.ts';
import type { Entry, SeatEvent, SeatIntent, Simulation } from './simulation.ts';

type IntentCodec<Intent> = Pick<Simulation<unknown, Intent>, 'writeIntent' | 'readIntent'>;

const JOIN = 1;
const LEAVE = 2;
const FLAG_BOT = 1;

/** Layout: varint tick, varint event count, events, varint intent count, (u8 seat, intent)*. */
export function writeEntry<Intent>(to: ByteWriter, entry: Entry<Intent>, codec: IntentCodec<Intent>): void {
  writeEntryHead(to, entry);
  to.varint(entry.intents.length);
  for (const { seat, intent } of entry.intents) {
    to.u8(seat);
    codec.writeIntent(to, intent);
  }
}

/** The part of an entry that needs no game to be understood; the intents follow it. */
export type EntryHead = Pick<Entry<unknown>, 'tick' | 'events'>;

/** Writes tick and events; the caller appends the intents, for instance the rest of another entry's bytes. */
export function writeEntryHead(to: ByteWriter, head: EntryHead): void {
  to.varint(head.tick).varint(head.events.length);
  for (const event of head.events) {
    if (event.kind === 'join') {
      to.u8(JOIN)
        .u8(event.seat)
        .u8(event.isBot ? FLAG_BOT : 0)
        .string(event.name)
        .string(event.playerId);
    } else {
      to.u8(LEAVE).u8(event.seat);
    }
  }
}

/** @throws RangeError if the bytes are not an entry */
export function readEntry<Intent>(from: ByteReader, codec: IntentCodec<Intent>): Entry<Intent> {
  const { tick, events } = readEntryHead(from);
  const intentCount = from.varint();
  const intents: SeatIntent<Intent>[] = [];
  for (let i = 0; i < intentCount; i++) {
    const seat = from.u8();
    intents.push({ seat, intent: codec.readIntent(from) });
  }
  return { tick, events, intents };
}

/** Reads tick and events and leaves the reader at the intents. @throws RangeError if the bytes are not an entry */
export function readEntryHead(from: ByteReader): EntryHead {
  const tick = from.varint();
  const eventCount = from.varint();
  const events: SeatEvent[] = [];
  for (let i = 0; i < eventCount; i++) {
    const kind = from.u8();
    const seat = from.u8();
    if (kind === JOIN) {
      const isBot = (from.u8() & FLAG_BOT) !== 0;
      events.push({ kind: 'join', seat, isBot, name: from.string(), playerId: from.string() });
    } else if (kind === LEAVE) {
      events.push({ kind: 'leave', seat });
    } else {
      throw new RangeError(`unknown seat event ${kind}`);
    }
  }
  return { tick, events };
}
