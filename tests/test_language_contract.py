"""Every statement of the language's contract, by section, with the tests that show it.

What waits for later is not listed: `scan`.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

FUNCTIONS, REDUCTIONS, TYPES = "language/test_functions.py", "language/test_reductions.py", "language/test_types.py"
RUNNING, SCHEDULES, INSPECTION = "language/test_running.py", "language/test_schedules.py", "language/test_inspection.py"
STORED = "language/test_stored_types.py"
TENSORS = "language/test_tensorize.py"
OUTPUTS, ERRORS, EXAMPLES = "language/test_outputs.py", "test_errors.py", "test_examples.py"
MEMORY, PREFETCH, HINTS = "behaviours/test_memory.py", "lowering/test_prefetch.py", "jit/test_emit_hint.py"

CONTRACT: dict[str, list[tuple[str, str, str]]] = {  # section: (statement, file, tests)
    "The one idea": [
        ("no schedule changes the result", SCHEDULES, "test_directives_leave_the_result test_tails_leave_the_result"),
        ("nor on the examples", EXAMPLES, "test_schedule_does_not_change_the_result"),
        ("nor which calls are legal", SCHEDULES, "test_the_same_call_is_legal_or_refused_under_every_schedule"),
        ("a schedule that could is refused before anything runs", SCHEDULES, "test_a_race_is_refused"),
    ],
    "1. Pure functions": [
        ("the opening example", FUNCTIONS, "test_the_opening_example"),
        ("positional parameters are index variables, outermost first", FUNCTIONS, "test_index_variables_are_outermost_first"),
        ("*i is a pack, bound when the rank is known", FUNCTIONS, "test_a_pack_of_index_variables_is_bound_when_the_rank_is_known"),
        ("img[(*i, k)], i[-1], len(i)", FUNCTIONS, "test_a_pack_beside_other_indices"),
        ("keyword-only parameters are arrays, or scalars with defaults", FUNCTIONS, "test_keyword_parameters_are_arrays_or_scalars"),
        ("stages that name the same input mean the same", FUNCTIONS, "test_stages_that_name_the_same_input_mean_the_same"),
        ("merging another rank, type or default is a DefinitionError", FUNCTIONS, "test_merging_inputs_of_different_rank_or_type_is_an_error"),
        ("an annotation fixes the type", FUNCTIONS, "test_an_annotation_fixes_the_type"),
        ("else it comes from the argument", FUNCTIONS, "test_without_an_annotation_the_type_is_the_argument_s"),
        ("::1 promises a contiguous axis, checked", FUNCTIONS, "test_a_promised_contiguous_axis_is_checked test_compile_takes_the_promise_too"),
        ("dense and strided versions are chosen at entry", RUNNING, "test_any_strided_array"),
        ("halo.func(name, cache), py_func, inputs; a Func is truthy", FUNCTIONS, "test_what_the_decorator_gives"),
        ("source=", FUNCTIONS, "test_source_may_be_given"),
        ("fastmath=", FUNCTIONS, "test_fastmath_may_reorder"),
        ("f['blur_x'] is the stage of that name", FUNCTIONS, "test_a_stage_of_the_pipeline_by_name"),
        ("binding a Func makes a new Func", FUNCTIONS, "test_binding_a_func_to_an_input_makes_a_new_func"),
        ("binding an Input; numbers are constants", FUNCTIONS, "test_binding_an_input_renames_it_and_a_number_is_bound_as_a_constant"),
        ("one simultaneous substitution", FUNCTIONS, "test_binding_leaves_the_inputs_of_what_is_bound_alone"),
        ("directives are copied and redirected", FUNCTIONS, "test_binding_copies_the_directives"),
        ("img.shape of a bound Func needs its bounds", FUNCTIONS, "test_the_shape_of_a_bound_func_needs_bounds"),
        ("free names are looked up at decoration", FUNCTIONS, "test_free_names_are_those_of_the_time_of_decoration"),
        ("a loop that builds a pyramid gets each level right", FUNCTIONS, "test_a_loop_that_builds_a_pyramid_gets_each_level_right"),
        ("lists and arrays are copied then", FUNCTIONS, "test_a_list_is_copied_at_decoration"),
        ("arrays over 64 KiB become bound inputs", FUNCTIONS, "test_a_large_array_becomes_a_bound_input"),
        ("a name still unbound is an error at first use", FUNCTIONS, "test_an_unbound_name_is_an_error_at_first_use"),
        ("tables", FUNCTIONS, "test_a_table_indexed_by_an_expression"),
        ("math, numpy, operator, builtins", FUNCTIONS, "test_functions_of_math_numpy_operator_and_builtins"),
        ("plain Python functions are inlined, ifs included", FUNCTIONS, "test_a_python_function_is_inlined_with_its_ifs"),
        ("njit scalar functions are translated", FUNCTIONS, "test_an_njit_function_is_translated"),
        ("what cannot be is called lane by lane, as loops() says", FUNCTIONS, "test_an_njit_function_that_is_not_translated_is_called_lane_by_lane"),
        ("one that can raise is a DefinitionError", FUNCTIONS, "test_an_njit_function_that_can_raise_is_refused"),
        ("what a body may contain", FUNCTIONS, "test_the_body"),
        ("tuple-valued Funcs", FUNCTIONS, "test_a_tuple_valued_func"),
        ("no meaning: DefinitionError with a caret", FUNCTIONS, "test_what_has_no_meaning_is_a_definition_error_with_a_caret"),
        ("conditions guard accesses", FUNCTIONS, "test_conditions_guard_accesses"),
        ("other conditions do not narrow", FUNCTIONS, "test_other_conditions_do_not_narrow"),
        ("negative indices never wrap around", FUNCTIONS, "test_negative_indices_never_wrap"),
        ("equal stage names are numbered", FUNCTIONS, "test_equal_stage_names_are_numbered_in_topological_order"),
    ],
    "1. Reductions and update stages": [
        ("histogram", REDUCTIONS, "test_histogram"),
        ("conv", REDUCTIONS, "test_convolution_with_an_inline_reduction"),
        ("the pure stage may be left out", REDUCTIONS, "test_the_pure_stage_may_be_left_out"),
        ("axes: length, range, pair, array; lengths are expressions", REDUCTIONS, "test_axes_of_a_domain"),
        ("nested loops equal one rdom", REDUCTIONS, "test_nested_loops_equal_one_domain"),
        ("first axis outermost, named by the targets", REDUCTIONS, "test_first_axis_is_outermost_and_loops_are_named_by_their_targets"),
        ("f.update(k)", REDUCTIONS, "test_update_k"),
        ("several updates in one body are interleaved", REDUCTIONS, "test_several_updates_in_one_body_become_stages_where_that_is_the_same"),
        ("else: write two loops, or scatter", REDUCTIONS, "test_elsewhere_the_error_says_write_two_loops"),
        ("if is the predicate, else the second update", REDUCTIONS, "test_if_round_an_update_is_its_predicate"),
        ("a local does not survive the iteration", REDUCTIONS, "test_a_local_does_not_survive_the_iteration"),
        ("sum, min, max, prod, mean", REDUCTIONS, "test_inline_reductions"),
        ("any, all, trailing if", REDUCTIONS, "test_any_all_and_predicates"),
        ("they fold with the operator's promotion; a start value widens", REDUCTIONS, "test_reductions_fold_with_the_operator_s_own_promotion"),
        ("an empty domain gives the identity", REDUCTIONS, "test_an_empty_domain_gives_the_identity"),
        ("argmin, argmax: first extremum", REDUCTIONS, "test_argmin_and_argmax_give_the_first_extremum"),
        ("the Func's own update(0), or a stage f_sum", REDUCTIONS, "test_a_reduction_is_the_func_s_own_update_or_a_stage"),
        ("updates scan, scatter, f[i] = max(f[i], e)", REDUCTIONS, "test_scan_scatter_and_extremum_updates"),
        ("tuples are updated at once", REDUCTIONS, "test_updates_of_tuples_are_atomic"),
        ("stores outside the asked region are masked", REDUCTIONS, "test_stores_outside_the_region_are_masked"),
        ("points outside it are computed in scratch", REDUCTIONS, "test_points_outside_that_values_inside_depend_on_are_computed"),
        ("unbounded: BoundsError suggests clamp", REDUCTIONS, "test_an_unbounded_scatter_source_suggests_clamp"),
        ("undef", REDUCTIONS, "test_undef_keeps_what_out_holds"),
        ("scatter, gather", REDUCTIONS, "test_scatter_and_gather_store_several_values_at_once"),
        ("require", REDUCTIONS, "test_require_stops_the_call"),
        ("random_*", REDUCTIONS, "test_random_is_a_function_of_the_point"),
        ("likely, reinterpret, extract_bits, concat_bits", REDUCTIONS, "test_likely_reinterpret_and_bits"),
        ("debug_print", REDUCTIONS, "test_debug_print_shows_values"),
        ("zero-dimensional Funcs", REDUCTIONS, "test_zero_dimensional_funcs"),
        ("extern stages", REDUCTIONS, "test_extern_stages"),
        ("scan: Funcs that step together", "func/test_scan.py", "test_an_lstm test_the_object_form_is_the_same"),
        ("the state folded to two steps", "func/test_scan.py", "test_only_the_last_step_is_kept_in_two"),
        ("scheduled like any others", "func/test_scan.py", "test_no_schedule_of_the_steps_changes_a_bit"),
        ("sort, argsort: stable, NaN last", "func/test_sort.py", "test_every_type test_every_axis_of_every_rank"),
        ("under every schedule the same", "func/test_sort.py", "test_no_schedule_changes_the_result"),
    ],
    "1. The same without the decorator": [
        ("the example", REDUCTIONS, "test_the_object_form"),
        ("both forms give the same IR", REDUCTIONS, "test_both_forms_give_the_same_loops"),
        ("halo.min, max, sum, abs, ... stand for the builtins", REDUCTIONS, "test_halo_functions_for_the_builtins"),
        ("an Expr is no bool", REDUCTIONS, "test_an_expr_has_no_truth_value"),
    ],
    "1. Types and arithmetic": [
        ("the thirteen types", TYPES, "test_every_type_goes_in_and_out"),
        ("the ten types that only store: moved as they are", STORED, "test_what_is_only_moved_keeps_its_bits"),
        ("... computed in f32, i8 or u8", STORED, "test_arithmetic_is_on_what_it_converts_to test_sums_are_of_what_it_converts_to"),
        ("... rounded as ml_dtypes does, or saturated", "lowering/test_expand_stored.py", "test_floats_round_as_in_ml_dtypes test_integers_wrap_and_floats_saturate test_saturate_stays_finite"),
        ("... no scalars, no sorts, and updates that round say so", STORED, "test_a_scalar_is_none_of_it test_a_sort_refuses_it test_an_update_that_rounds_says_so"),
        ("... in stages, updates and extern stages", STORED, "test_stages_and_updates_store_it test_scatter_in_parallel_is_atomic test_extern_stages_and_files_see_it"),
        ("... its bits", STORED, "test_bits_are_read_as_those_of_its_width test_bits_beside_those_of_a_narrow_type_mean_nothing"),
        ("... as subscripts", STORED, "test_data_dependent_subscripts_know_its_range"),
        ("dtypes and names", TYPES, "test_dtypes_and_names_stand_for_types"),
        ("promotion is NumPy 2's; u64 with a signed integer is i64", TYPES, "test_promotion_among_integers_is_numpy_s"),
        ("Python numbers are weak", TYPES, "test_python_numbers_are_weak"),
        ("an integer with a float gives that float", TYPES, "test_an_integer_with_a_float_gives_that_float"),
        ("/ and float functions of integers", TYPES, "test_division_and_float_functions_of_integers"),
        ("index variables", TYPES, "test_index_variables_are_i32_and_weak_with_floats"),
        ("bool_ counts as i32", TYPES, "test_bool_counts_as_i32"),
        ("definitions of Python numbers alone", TYPES, "test_definitions_of_python_numbers_alone"),
        ("an update converts if lossless or weak", TYPES, "test_an_update_converts_if_lossless_or_weak"),
        ("a Python int that does not fit", TYPES, "test_a_python_int_that_does_not_fit_is_an_error"),
        ("//, %, by 0, MIN // -1", TYPES, "test_integer_division"),
        ("floats follow NumPy", TYPES, "test_float_division_and_modulo_follow_numpy"),
        ("shifts", TYPES, "test_shifts"),
        ("abs, round, float to integer", TYPES, "test_abs_round_and_conversion"),
        ("min and max propagate NaN", TYPES, "test_min_and_max_propagate_nan"),
        ("conversions, saturate", TYPES, "test_conversions_and_saturation"),
        ("clamp, select, absd, avg, mul_high, sat_add, ...", TYPES, "test_integer_functions"),
        ("sqrt, exp, ...: 4 ULP", TYPES, "test_functions_as_in_numpy"),
        ("scalar and vector code give the same bits", TYPES, "test_scalar_and_vector_code_give_the_same_bits"),
        ("floats are bit-identical; fma at capture", TYPES, "test_fma_is_placed_at_capture_and_floats_do_not_depend_on_the_schedule"),
        ("subscripts are mathematical integers", TYPES, "test_subscripts_are_mathematical_integers"),
        ("the same as a value wraps", TYPES, "test_the_same_expression_as_a_value_wraps"),
    ],
    "1. Boundaries": [
        ("NumPy's modes", TYPES, "test_pad_modes_are_numpy_s"),
        ("value=", TYPES, "test_pad_with_a_value"),
        ("of an Input or a Func, in a definition", TYPES, "test_pad_of_an_input_and_of_a_func_in_a_definition"),
        ("None leaves an axis alone", TYPES, "test_pad_may_leave_an_axis_alone"),
        ("an empty axis needs constant", TYPES, "test_padding_an_empty_axis_needs_constant"),
    ],
    "2. Running": [
        ("positional arrays in the order of f.inputs", RUNNING, "test_positional_arguments_are_in_the_order_of_inputs"),
        ("out=", RUNNING, "test_out_is_written_and_returned test_strided_out"),
        ("tuples", RUNNING, "test_tuples_come_and_go_as_tuples"),
        ("halo.Pipeline", RUNNING, "test_a_pipeline_computes_outputs_of_any_shapes"),
        ("rank 0 gives a 0-d array", RUNNING, "test_rank_0_gives_a_0d_array"),
        ("the region: out's shape, or shape", RUNNING, "test_the_region_is_out_s_shape_or_shape"),
        ("else from inputs at plain variables", RUNNING, "test_else_the_extents_of_inputs_at_plain_variables"),
        ("else ArgumentError asks for shape=", RUNNING, "test_without_a_plain_subscript_shape_is_asked_for"),
        ("a pad view's extents", RUNNING, "test_a_pad_view_has_the_extents_of_what_it_pads"),
        ("realize(shape, origin)", RUNNING, "test_realize_computes_any_box"),
        ("too small an input: BoundsError before anything is written", RUNNING, "test_too_small_an_input_is_named_before_anything_is_written"),
        ("the region checked is the unscheduled one", RUNNING, "test_the_region_checked_is_the_unscheduled_one"),
        ("data-dependent indices", RUNNING, "test_a_data_dependent_index_is_bounded_by_its_type_or_by_clamp"),
        ("any strided array", RUNNING, "test_any_strided_array"),
        ("read-only inputs, writable out", RUNNING, "test_read_only_inputs_and_writable_outputs"),
        ("array protocols", RUNNING, "test_array_protocols"),
        ("overlap", RUNNING, "test_overlap_of_out_and_input_goes_through_scratch"),
        ("zero-sized axes", RUNNING, "test_zero_sized_axes"),
        ("wrong dtype, rank or name", RUNNING, "test_wrong_arguments_are_named"),
        ("compile() -> Kernel", RUNNING, "test_a_kernel_is_a_callable"),
        ("many threads", RUNNING, "test_calls_from_many_threads"),
        ("fork", RUNNING, "test_calls_survive_fork"),
        ("set_num_threads", RUNNING, "test_thread_counts"),
        ("NUMBA_THREADING_LAYER, NUMBA_NUM_THREADS, numba.set_num_threads", "jit/test_threads.py", "test_the_layer_that_is_asked_for test_only_a_layer_that_is_named_is_used test_numba_num_threads test_set_num_threads_is_numbas"),
        ("nested parallel loops", RUNNING, "test_nested_parallel_loops"),
        ("the disk cache, corrupt too", RUNNING, "test_the_disk_cache_serves_a_new_process"),
        ("inside @njit", RUNNING, "test_a_call_inside_an_njit_function"),
        ("recompiling leaves memory flat", RUNNING, "test_recompiling_leaves_memory_flat"),
    ],
    "3. Schedules": [
        ("every directive of the table", SCHEDULES, "test_directives_leave_the_result"),
        ("every tail", SCHEDULES, "test_tails_leave_the_result test_tails_of_lanes_leave_the_result test_tails_of_updates"),
        ("illegal tails", SCHEDULES, "test_round_up_in_an_update_is_refused_where_it_could_change_the_result"),
        ("bounds and folds that a call does not fit", SCHEDULES, "test_a_fold_that_a_call_does_not_fit_runs_a_copy_without_it test_a_fold_holds_no_more_than_it_was_given test_nothing_is_folded_to_the_largest_extent_there_is"),
        ("store_in: the heap, the stack of any size, registers of a constant one", MEMORY, "test_33_what_is_on_the_heap_is_there_whatever_its_size test_33_an_array_of_any_size_on_the_stack_asks_for_memory_once test_33_registers_have_a_constant_size"),
        ("prefetch: the box of a later iteration, on which nothing depends", PREFETCH, "test_the_box_that_is_needed test_nothing_depends_on_it test_strategies"),
        ("prefetch refused", "schedule/test_hints.py", "test_refusals"),
        ("stream_stores, stream_loads: every type, any alignment, a fence on each thread", HINTS, "test_streamed_stores_of_every_type_and_alignment test_each_thread_that_stores_past_the_caches_ends_with_a_fence"),
        ("streams refused", "schedule/test_hints.py", "test_refused_streams"),
        ("names of marked splits", SCHEDULES, "test_marked_splits_name_their_inner_loop"),
        ("a consumed loop is no place", SCHEDULES, "test_a_consumed_loop_is_no_place_and_the_error_lists_its_descendants"),
        ("compute_with", SCHEDULES, "test_compute_with test_alignment_moves_iterations_and_no_values"),
        ("compute_inline of a Func with updates", SCHEDULES, "test_compute_inline_of_a_func_with_updates test_it_is_computed_at_the_innermost_loop_of_each_reader"),
        ("rfactor", SCHEDULES, "test_rfactor test_rfactor_of_argmin_and_of_complex_products"),
        ("rfactor refused", SCHEDULES, "test_rfactor_of_what_is_not_associative_is_refused"),
        ("atomic", SCHEDULES, "test_atomic_updates_may_be_parallel_or_vectorised test_atomic_products_are_numpy_s"),
        ("debug_to_file", SCHEDULES, "test_debug_to_file_writes_what_was_computed"),
        ("promises of outputs", OUTPUTS, "test_promises_of_outputs_change_no_result test_promises_of_an_output_that_is_staged_and_of_tuples test_wrong_promises_of_outputs_are_refused test_a_promised_extent_is_a_constant test_a_kept_promise_runs_the_fast_copy test_a_promised_address_changes_no_result test_wrong_alignments_are_refused"),
        ("tensorize: matched against a declared intrinsic", TENSORS, "test_tensorize_replaces_loops_by_an_intrinsic test_tensorize_of_what_does_not_match_shows_both test_floats_that_an_intrinsic_rounds_are_asked_for"),
        ("halo.intrinsic declares further ones", TENSORS, "test_users_declare_intrinsics"),
        ("what directives return", SCHEDULES, "test_directives_return_the_receiver_or_what_they_make"),
        ("a ScheduleError names the directive and its line", SCHEDULES, "test_wrong_directives_are_schedule_errors"),
        ("the schedule is data", SCHEDULES, "test_the_schedule_is_data"),
        ("it prints as the calls that recreate it", SCHEDULES, "test_a_schedule_prints_as_the_calls_that_recreate_it"),
        ("apply refuses a schedule of other stages", SCHEDULES, "test_a_schedule_of_other_stages_is_refused"),
        ("a later change makes a new variant", SCHEDULES, "test_a_later_change_makes_a_new_variant"),
        ("a target that is gone is found by name", SCHEDULES, "test_a_placement_target_of_the_same_name_will_do"),
        ("without directives", SCHEDULES, "test_the_default_inlines_what_is_read_at_one_index test_the_default_for_colour_pictures"),
        ("any directive turns it off", SCHEDULES, "test_a_directive_turns_the_default_off_for_that_func"),
        ("any rank", SCHEDULES, "test_any_rank"),
        ("memoize(): what a call computed is found by later ones that would compute the same", "behaviours/test_memoization.py", "test_30_the_second_call_finds_what_the_first_computed test_30_the_content_of_inputs_counts_not_where_they_are"),
    ],
    "4. Looking inside": [
        ("loops()", INSPECTION, "test_loops test_loops_need_no_types"),
        ("inspect_source()", INSPECTION, "test_source_is_runnable_python"),
        ("target python and numba agree bit for bit", INSPECTION, "test_reference_targets_agree_bit_for_bit"),
        ("inspect_llvm, inspect_asm", INSPECTION, "test_llvm_and_assembly"),
        ("inspect_inputs", INSPECTION, "test_inputs"),
        ("profile", INSPECTION, "test_profile"),
        ("the variant compiled last", INSPECTION, "test_inspectors_show_the_variant_compiled_last"),
        ("repr, _repr_html_", INSPECTION, "test_repr_shows_definition_and_schedule"),
    ],
    "5. Errors": [
        ("file, line, caret, reason, alternatives, edit", ERRORS, "test_text"),
        ("they are Python's own too", ERRORS, "test_errors_are_also_python_s_own"),
    ],
}  # fmt: skip


@functools.cache
def defined_in(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("section", CONTRACT)
def test_every_statement_has_a_test(section: str) -> None:
    missing = {f"{statement}: {file}::{test}" for statement, file, tests in CONTRACT[section] for test in tests.split()
               if test not in defined_in(file)}  # fmt: skip
    assert not missing


def test_every_test_of_the_language_is_listed() -> None:
    listed = {(file, test) for lines in CONTRACT.values() for _, file, tests in lines for test in tests.split()}
    for path in (TESTS / "language").glob("test_*.py"):
        file = f"language/{path.name}"
        unlisted = {t for t in defined_in(file) if t.startswith("test_") and (file, t) not in listed}
        assert not unlisted
