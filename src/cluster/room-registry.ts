/** What a room asks of the cluster, or of a process that is alone. */
export interface RoomRegistry {
  /**
   * A new room is about to be made here. Until this has resolved nothing of its match may be written.
   * @returns the epoch with which its journal is opened; more than 1 if another process began the match and got no further
   * @throws GameError MATCH_EXISTS if there is a room of that id; NO_SLOTS if this process takes no rooms;
   *   STORE_UNAVAILABLE
   */
  begin(room: { readonly roomId: string; readonly roomName: string; readonly matchId: string }): Promise<number>;
  /** False once another process has the room: nothing of it may be written any more, and nobody be told that it ended. */
  owns(roomId: string): boolean;
  /** The match is over here, and all that follows from it is written or nobody's to write. Never rejects. */
  released(roomId: string): Promise<void>;
}
