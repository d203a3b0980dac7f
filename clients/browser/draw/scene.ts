/** What the painter is given each frame, the same for a live match and for a replay. Lengths in metres. */

export interface FighterView {
  readonly seat: number;
  name: string;
  isBot: boolean;
  /** True for the one whom the camera follows as "you". */
  isOwn: boolean;
  isAlive: boolean;
  isProtected: boolean;
  isDashing: boolean;
  isConnected: boolean;
  hp: number;
  x: number;
  y: number;
  /** Radians, clockwise from +x. */
  aim: number;
}

export interface RocketView {
  x: number;
  y: number;
  /** Direction of flight, radians. */
  angle: number;
  /** Seat of who fired it. */
  seat: number;
}

export interface PickupView {
  kind: PickupLook;
  x: number;
  y: number;
  isTaken: boolean;
}

/** How a pickup looks; the rules' kinds are mapped onto these. */
export type PickupLook = 'health' | 'ammo' | 'rockets';

export interface Scene {
  readonly fighters: FighterView[];
  readonly rockets: RocketView[];
  readonly pickups: PickupView[];
}

/** Facts of the rules that have a visible size. */
export interface Proportions {
  readonly bodyRadius: number;
  readonly hpMax: number;
  readonly splashRadius: number;
}
