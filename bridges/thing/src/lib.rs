//! The nouns of Torg and the two contracts every bridge fulfils.
