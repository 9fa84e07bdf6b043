//! A simulated Z.ai on a real socket: both dialects, scripted answers, scripted faults.
