//! Tests of whole paths through the public libraries, one module a contract.

mod interpreter_vs_tract;
