/** What a worker process asks of one simulated player, however it talks to the server. */
import type { Gatherer } from './gather.ts';
import type { TrackStep } from './input-track.ts';
import type { Tally } from './tally.ts';

/**
 * Whom the players talk to: `arena` signs in anonymously and sends input frames, `plain` joins without a token and sends
 * `input` messages, `raw` only opens a WebSocket and sends what the arena would get.
 */
export const DIALECTS = ['arena', 'plain', 'raw'] as const;
export type Dialect = (typeof DIALECTS)[number];

/** Where and how players join. */
export interface Destination {
  /** `ws://host:port` or `http://host:port`, or with `wss:` or `https:` where the SDK is used. */
  readonly endpoint: string;
  readonly roomName: string;
  readonly dialect: Dialect;
  /** Target of the WebSocket; `raw` only. Default `/`. */
  readonly path?: string;
  /**
   * Says in `X-Forwarded-For` that every player has an address of its own, so that a server behind one proxy
   * (`HYPOGEUM_PROXY_HOPS=1`) applies its limits per address to each of them and not to the load test as a whole.
   */
  readonly areAddressesApart?: boolean;
}

/** A sequence of steps and its bytes in the dialect, shared by many players; see input-track.ts. */
export interface Track {
  readonly steps: readonly TrackStep[];
  readonly bodies: readonly Uint8Array[];
}

export interface PlayerOptions {
  /** Counted over the whole load test, from 0. */
  readonly id: number;
  readonly destination: Destination;
  readonly name: string;
  /** Joins exactly this room; creates one if it is `create`; otherwise whatever has room. */
  readonly roomId?: string;
  readonly track: Track;
  /** Leads the player to the crowd; without it the track is followed. SDK players only. */
  readonly gatherer?: Gatherer;
  readonly tally: Tally;
}

/** The headers of every request of that player. */
export function addressHeaders({ id, destination }: PlayerOptions): Record<string, string> {
  if (!destination.areAddressesApart) return {};
  return { 'x-forwarded-for': `10.${(id >> 16) & 255}.${(id >> 8) & 255}.${id & 255}` };
}

export interface Player {
  /** Room it is in, once joined; empty where there are no rooms. */
  readonly roomId: string;
  /** Inputs per second that the server asked for; 0 when it did not say. */
  readonly advertisedRateHz: number;
  readonly isOpen: boolean;
  /** Sends the next step of the track. */
  sendInput(nowMs: number): void;
  leave(): void;
}

/** The HTTP side of an endpoint. @throws TypeError if it is no URL */
export function httpOrigin(endpoint: string): string {
  const url = new URL(endpoint);
  return `${url.protocol === 'wss:' || url.protocol === 'https:' ? 'https:' : 'http:'}//${url.host}`;
}
