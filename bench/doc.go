// Command bench measures the daemon against floors that are taken in the same
// run: what the same work costs by hand, with the same image and engine.
//
// Ours and the floor take turns, so that a noisy machine hurts both alike, and
// what counts are the ratios. The daemon is the real binary as a child process;
// Gitea is the in-memory one, in this process. Where a floor makes no sense, as
// for memory, there is a figure alone. All that is made in the engine carries
// the label io.scaler.bench and is removed again, also after an interrupt. What
// a killed bench leaves goes with
//
//	SCALER_ENGINE_LABEL=io.scaler.bench scripts/engine clean
package main
