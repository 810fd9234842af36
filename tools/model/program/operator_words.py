"""The names of operators, and of the words they take, that the allow list has by name."""

from __future__ import annotations

_SIZES = """
_operator.eq _operator.ne _operator.le _operator.ge _operator.lt _operator.gt _operator.neg
_operator.pos _operator.mul _operator.add _operator.sub _operator.floordiv _operator.mod
_operator.truediv _operator.and_ _operator.or_ _operator.pow _operator.getitem math.trunc
torch.sym_not torch.sym_int torch.sym_float torch.sym_ite torch.sym_max torch.sym_min
torch.sym_sum torch._sym_sqrt torch.sym_sqrt
"""
_ALSO = """
addbmm allclose angle bartlett_window bincount blackman_window bucketize conv_tbc copy cummax
cummin detach detach_copy equal fake_quantize_per_channel_affine_cachemask
fake_quantize_per_tensor_affine_cachemask fft_fftfreq fft_rfftfreq fractional_max_pool2d
fractional_max_pool3d grid_sampler_3d hamming_window histc index_reduce kaiser_window kthvalue
lift_fresh_copy linalg_cholesky_ex linalg_eig linalg_inv_ex linalg_lu linalg_lu_factor_ex
linalg_matrix_exp linalg_qr linalg_solve_triangular logcumsumexp lu_unpack masked_select median
mode multinomial nanmedian nonzero_static polygamma put rand_like randint randint_like
randn_like random range rrelu_with_noise searchsorted select_copy slice_copy split_copy
sym_constrain_range sym_constrain_range_for_size triangular_solve unique_consecutive unique_dim
view_as_complex view_as_real __and__ __or__ __xor__ __iand__ __ior__ __ixor__ __lshift__
__rshift__ _assert_async _assert_scalar _assert_tensor_metadata _cdist_forward _convolution
_convolution_mode _embedding_bag_forward_only _fft_c2c _functional_assert_async
_functional_assert_scalar _fused_rms_norm _is_zerotensor _native_batch_norm_legit_functional
_native_multi_head_attention _pad_circular _pad_enum _prelu_kernel _safe_softmax
_scaled_dot_product_attention_math _scaled_dot_product_flash_attention_for_cpu _shape_as_tensor
_transformer_encoder_layer_fwd _unique2 _unsafe_index _unsafe_index_put _unsafe_view
_upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d
_upsample_nearest_exact2d _upsample_nearest_exact3d _weight_norm _weight_norm_interface
"""
_TEXTS = """
approximate equation norm rounding_mode reduce padding padding_side pad_mode mode indexing ord
interpolation side UPLO driver p assert_msg
"""
#: Arithmetic on sizes, under the names that torch writes.
SIZES = frozenset(_SIZES.split())
#: Arithmetic of ATen that torch says in no other operators; private names are of exported networks.
ALSO = frozenset(_ALSO.split())
#: The arguments of ATen's operators whose text picks one of several forms: `mode`, `padding`.
TEXTS = frozenset(_TEXTS.split())
