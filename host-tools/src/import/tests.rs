//! Tests of the importer: see the files beside this one.
