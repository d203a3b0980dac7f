/** Where a socket hands over frames before anybody else sees them; src/fast-socket.ts is the socket that does. */

/** Reads frames of one client straight from the bytes that came in. */
export interface FrameTap {
  /**
   * A whole frame, unmasked, at `bytes[start .. end)`. The bytes are the reader's during the call only.
   * @returns whether it was taken; if not, the frame goes the framework's way
   */
  take(bytes: Uint8Array, start: number, end: number): boolean;
}

/** A socket that can be tapped. */
export interface TappedSocket {
  readonly isTappable: boolean;
  /** Asked for every whole binary frame. */
  tap: FrameTap | undefined;
}
