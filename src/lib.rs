//! The Torg appliance: where bridges and broker meet.
