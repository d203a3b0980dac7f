/**
 * Who takes over which room of a dead process. Every survivor computes the same from the same cards, without asking
 * anybody; where their cards differ by a beat two may try, and the journal lets one of them. Pure.
 */
import { crc32 } from '../kernel/hash.ts';
import { isSame } from '../match/compatibility.ts';
import type { ProcessCard, RoomRecord } from './directory.ts';
import { fullness, preferred } from './placement.ts';

const text = new TextEncoder();

/** True of a process that can go on with the match as it was begun. */
export function canPlay(card: ProcessCard, room: RoomRecord): boolean {
  const plays = Object.hasOwn(card.plays, room.roomName) ? card.plays[room.roomName] : undefined;
  return card.canAdopt && card.roles.includes('realtime') && plays !== undefined && isSame(plays, room);
}

/** Whether a process is a good one for a match of that build; others are taken where no such one is able. */
export type IsKeeper = (buildId: string, card: ProcessCard) => boolean;

/**
 * The process that takes a room over: by a hash of the two ids, weighted by how much each has to spare, so that the
 * rooms of one spread over all others. One that drains only where there is no other. Undefined if none can play it.
 */
export function adopterOf(
  room: RoomRecord,
  processes: readonly ProcessCard[],
  isKeeper: IsKeeper = () => true,
): ProcessCard | undefined {
  const able = processes.filter((card) => canPlay(card, room));
  const staying = able.filter(({ isDraining }) => !isDraining);
  const candidates = preferred(staying.length > 0 ? staying : able, (card) => isKeeper(room.buildId, card));
  let best: ProcessCard | undefined;
  let bestScore = Number.POSITIVE_INFINITY;
  for (const card of candidates) {
    // In tenths: what a beat changes must not change the plan. A full one still takes what would be lost otherwise.
    const spare = Math.max(1, Math.round(10 * (1 - fullness(card))));
    const score = -Math.log(uniform(`${room.roomId}/${card.processId}`)) / spare;
    if (score < bestScore || (score === bestScore && card.processId < best!.processId)) {
      best = card;
      bestScore = score;
    }
  }
  return best;
}

/** Where a room that runs should be moved to; undefined if nobody else can play it. The least full one. */
export function moverOf(
  room: RoomRecord,
  processes: readonly ProcessCard[],
  isKeeper: IsKeeper = () => true,
): ProcessCard | undefined {
  const able = processes.filter((card) => card.processId !== room.processId && !card.isDraining && canPlay(card, room));
  const candidates = preferred(able, (card) => isKeeper(room.buildId, card));
  return candidates.toSorted((a, b) => fullness(a) - fullness(b) || (a.processId < b.processId ? -1 : 1))[0];
}

/** Above 0, below 1. */
function uniform(of: string): number {
  let mixed = crc32(text.encode(of));
  // The checksum is linear: like ids would be spread alike.
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  mixed ^= mixed >>> 16;
  return ((mixed >>> 0) + 0.5) / 2 ** 32;
}
